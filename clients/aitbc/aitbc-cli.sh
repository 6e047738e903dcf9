#!/usr/bin/env bash
# The seed document's command line:
#
#   aitbc-cli.sh submit inference --prompt "What is machine learning?" --model llama3.2:latest
#   aitbc-cli.sh status JOB_ID
#
# It sets AITBC_URL and CLIENT_KEY where they are not set, to those of "aitbcd dev", and calls aitbc
# with them; AITBC_API_KEY says the same as CLIENT_KEY. All words of aitbc work (aitbc-cli.sh --help).
set -euo pipefail

: "${AITBC_URL:=http://127.0.0.1:18000}"
: "${CLIENT_KEY:=${AITBC_API_KEY:-client_dev_key_1}}"
export AITBC_URL CLIENT_KEY

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
for aitbc in "$here/aitbc" "$here/bin/aitbc" "$here/../../bin/aitbc" "$(command -v aitbc || true)"; do
  if [[ -f $aitbc && -x $aitbc ]]; then
    exec "$aitbc" --url "$AITBC_URL" --api-key "$CLIENT_KEY" "$@"
  fi
done
echo "aitbc-cli.sh: no program aitbc in ${here%/clients/aitbc}/bin and none on PATH." >&2
echo "What to do: run \"make build\" in ${here%/clients/aitbc}, or put aitbc on PATH." >&2
exit 127
