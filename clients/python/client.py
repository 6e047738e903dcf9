#!/usr/bin/env python3
"""The seed document's client:

    python3 client.py --url http://127.0.0.1:18000 --api-key KEY submit inference --prompt "..."
    python3 client.py --url http://127.0.0.1:18000 --api-key KEY status JOB_ID

It works from where it lies, without an installation.
"""

import sys

from aitbc.cli import main

if __name__ == "__main__":
    sys.exit(main())
