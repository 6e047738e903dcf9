#!/usr/bin/env python3
"""Writes signing_vectors.json: an encoder of docs/signing.md that shares no line with the Go one.

    python3 signing_vectors.py > signing_vectors.json

Standard library only; Ed25519 is written out from RFC 8032, bech32 from BIP 173.
"""
import hashlib
import json
import re
import struct
from decimal import Decimal

# ---- Ed25519 (RFC 8032, section 5.1), slow and plain ----
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BY = 4 * pow(5, -1, P) % P


def recover_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 != sign else x


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return ((x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P)


def mul(n, point):
    total = (0, 1)
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def pack(point):
    return ((point[1]) | (point[0] & 1) << 255).to_bytes(32, "little")


BASE = (recover_x(BY, 0), BY)


def expand(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254, h[32:]


def public(seed):
    return pack(mul(expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = expand(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    big_r = pack(mul(r, BASE))
    k = int.from_bytes(hashlib.sha512(big_r + public(seed) + message).digest(), "little") % L
    return big_r + ((r + k * scalar) % L).to_bytes(32, "little")


# ---- text forms ----
CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(prefix, data):
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    count = -(-len(data) * 8 // 5)
    values = [bits >> 5 * i & 31 for i in reversed(range(count))]
    check = 1
    for v in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values + [0] * 6:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= g if top >> i & 1 else 0
    values += [(check ^ 1) >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(CHARSET[v] for v in values)


def ulid(data):
    n = int.from_bytes(data, "big")
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[n >> 5 * i & 31] for i in reversed(range(26)))


def number(x):
    """A number as RFC 8785 (that is, ECMAScript) writes it."""
    if isinstance(x, int) or (x == int(x) and abs(x) < 1e21):
        return str(int(x))
    text = repr(x)
    if 1e-6 <= abs(x) < 1e-4:
        return format(Decimal(text), "f")
    return re.sub(r"e([+-])0*", r"e\1", text)


def form(value):
    return '"json"' if value == "json" else value


def canonical(value):
    if isinstance(value, list):
        return "[" + ",".join(json.dumps(v, ensure_ascii=False) for v in value) + "]"
    return number(value)


# ---- signing bytes ----
def sha(b):
    return hashlib.sha256(b).digest()


def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">I", len(b)) + b


def i64(v):
    return struct.pack(">q", v)


def u64(v):
    return struct.pack(">Q", v)


def u32(v):
    return struct.pack(">I", v)


def coin(units):
    whole, part = divmod(units, 1_000_000)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".") + "aitbc"


def proto(field, value):
    """One protobuf field: a varint or a length-delimited value shorter than 16 kB."""

    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    return varint(field << 3 | 2) + varint(len(value)) + value


SEEDS = {who: sha(b"aitbc test key: " + who.encode()) for who in ("client", "operator", "miner")}
IDS = {who: sha(public(seed))[:20] for who, seed in SEEDS.items()}
NAMES = {who: bech32("aitbc", b) for who, b in IDS.items()}
CHAIN = "aitbc-vectors-1"
JOB = bytes.fromhex("0194b2b7d9b80102030405060708090a")
SALT = sha(b"salt")
DIGEST = sha(b"manifest")
MODEL = "llama3.2:latest"
RESULT = "Machine learning is a subset of artificial intelligence..."
T0 = 1_738_162_201_000_000  # 2025-01-29T14:50:01Z
VECTORS = []


def vector(kind, name, signer, fields, body, **more):
    VECTORS.append({
        "kind": kind, "name": name, "fields": fields, "signing_bytes": body.hex(), "hash": sha(body).hex(),
        "signer": signer or "", "signature": sign(SEEDS[signer], body).hex() if signer else "", **more,
    })
    return sha(body)


def content(value):
    """RFC 8785 of what has no numbers and only ASCII names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def payload(name, prompt, pinned, options, kind="inference"):
    keys = {"Format": "format", "MinP": "min_p", "NumPredict": "num_predict", "RepeatPenalty": "repeat_penalty", "Seed": "seed",
            "Stop": "stop", "Temperature": "temperature", "TopK": "top_k", "TopP": "top_p"}
    named = sorted((keys[k], form(v) if k == "Format" else canonical(v)) for k, v in options.items())
    body = text("aitbc/payload/v1") + text(kind) + text(MODEL) + pinned + text(prompt) + u32(len(named))
    body += b"".join(text(k) + text(v) for k, v in named)
    fields = {"Type": kind, "Model": MODEL, "ModelDigest": pinned.hex(), "Prompt": prompt, "Options": options}
    return vector("payload", name, None, fields, body)


def commitment(name, content):
    fields = {"Salt": SALT.hex(), "Content": content.hex()}
    return vector("commitment", name, None, fields, text("aitbc/commitment/v1") + SALT + content)


def main():
    asked = payload("the seed document's request", "What is machine learning?", bytes(32),
                    {"Temperature": 0.7, "NumPredict": 500})
    payload("nothing set", "", bytes(32), {})
    payload("everything set, with awkward numbers and texts", "Grüße, 世界 \u0000\n", DIGEST,
            {"MinP": 1e-7, "NumPredict": 1, "RepeatPenalty": 1.0, "Seed": 2**31 - 1, "TopK": 40, "TopP": 0.00001,
             "Temperature": 0.0, "Stop": ["<|end|>&", "\u2028\u2029", "\"\\\b\f\n\r\t\u0000\u001f\u007f", "é世😀"]})
    call = {"id": "call_1", "name": "weather", "arguments": '{"city": "Graz"}'}
    tool = {"name": "weather", "description": "The weather of a city.",
            "parameters": '{"type":"object","properties":{"city":{"type":"string"}}}'}
    payload("a chat with a picture and tools", content({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "\u2028 \"Wetter\"?\n", "images": ["iVBORw0="]},
            {"role": "assistant", "thinking": "Hm.", "tool_calls": [call]},
            {"role": "tool", "tool_name": "weather", "tool_call_id": "call_1", "content": "{}"}],
        "tools": [tool]}), bytes(32), {"Format": '{"type":"object", "properties":{"b":{},"a":{}}}'}, "chat")
    payload("an embedding of two texts", content(["one", "zwei\t"]), bytes(32), {}, "embedding")
    payload("any JSON", "List three animals.", bytes(32), {"Format": "json", "Seed": 1})
    order_commitment = commitment("of a payload", asked)
    result_commitment = commitment("of a result", sha(RESULT.encode()))

    limit, price = 300_000_000, 20_000
    order = {"ChainID": CHAIN, "Client": NAMES["client"], "Operator": NAMES["operator"], "JobID": "job_" + ulid(JOB),
             "PayloadCommitment": order_commitment.hex(), "Price": coin(price), "MaxPrice": coin(6_000_000),
             "ExecutionLimitUS": limit, "SettleByUS": T0 + 3_960_000_000, "ExpiresUS": T0 + 600_000_000}
    order_hash = vector(
        "order", "the default price limit", "client", order,
        text("aitbc/order/v1") + text(CHAIN) + IDS["client"] + IDS["operator"] + JOB + order_commitment + i64(price)
        + i64(6_000_000) + i64(limit) + i64(order["SettleByUS"]) + i64(order["ExpiresUS"]))

    lease = {"ChainID": CHAIN, "OrderHash": order_hash.hex(), "JobID": "job_" + ulid(JOB), "Attempt": 2,
             "Operator": NAMES["operator"], "Miner": NAMES["miner"], "Model": MODEL, "ModelDigest": DIGEST.hex(),
             "IssuedUS": T0 + 1_000_000}
    lease_hash = vector(
        "lease", "a second attempt", "operator", lease,
        text("aitbc/lease/v1") + text(CHAIN) + order_hash + JOB + u32(2) + IDS["operator"] + IDS["miner"]
        + text(MODEL) + DIGEST + i64(lease["IssuedUS"]), id="lease_" + ulid(JOB) + "_2")

    statements = []
    for name, compute, stopped, tag in (("12.5 seconds", 12_500_000, False, "statement"), ("stopped early", 1, True, "statement"),
                                        ("still running", 7_250_000, False, "running")):
        fields = {"ChainID": CHAIN, "JobID": "job_" + ulid(JOB), "Attempt": 2, "LeaseHash": lease_hash.hex(),
                  "ResultCommitment": result_commitment.hex(), "Model": MODEL, "ModelDigest": DIGEST.hex(),
                  "ComputeUS": compute, "PromptTokens": 15, "OutputTokens": 150, "Engine": "ollama/0.17.4",
                  "Stopped": stopped, "Running": tag == "running"}
        statement_hash = vector(
            "statement", name, "miner", fields,
            text(f"aitbc/{tag}/v1") + text(CHAIN) + JOB + u32(2) + lease_hash + result_commitment + text(MODEL)
            + DIGEST + i64(compute) + u32(15) + u32(150) + text("ollama/0.17.4") + bytes([stopped]))
        vector("acceptance", name, "operator",
               {"ChainID": CHAIN, "JobID": "job_" + ulid(JOB), "StatementHash": statement_hash.hex(),
                "MeteredUS": compute},
               text("aitbc/acceptance/v1") + text(CHAIN) + JOB + statement_hash + i64(compute))
        statements.append(statement_hash)

    leaf = {"JobID": "job_" + ulid(JOB), "Attempt": 2, "Client": NAMES["client"], "Operator": NAMES["operator"],
            "Miner": NAMES["miner"], "OrderHash": order_hash.hex(), "LeaseHash": lease_hash.hex(),
            "StatementHash": statements[0].hex(), "ResultCommitment": result_commitment.hex(),
            "ComputeUS": 12_500_001, "MeteredUS": 12_500_000, "Paid": coin(250_000), "Refunded": coin(5_750_000),
            "LogIndex": 2**40 + 7}
    leaf_bytes = (
        text("aitbc/receipt/v1") + u32(1) + JOB + IDS["client"] + IDS["operator"] + IDS["miner"] + u32(2) + order_hash
        + lease_hash + statements[0] + result_commitment + i64(12_500_001) + i64(12_500_000) + i64(250_000)
        + i64(5_750_000) + u64(2**40 + 7))
    vector("receipt", "a place in the log over 32 bits", None, leaf, leaf_bytes)
    entries, log = sha(b"entries"), sha(b"\0" + leaf_bytes)
    vector("state", "a log over 32 bits", None,
           {"Entries": entries.hex(), "LogSize": 2**40 + 8, "LogRoot": log.hex()},
           text("aitbc/state/v1") + entries + u64(2**40 + 8) + log)

    for name, binding in (("without TLS", b"plaintext"), ("over TLS", sha(b"exporter"))):
        vector("session", name, "miner",
               {"ChainID": CHAIN, "Operator": NAMES["operator"], "Miner": NAMES["miner"],
                "Challenge": sha(b"challenge").hex(), "ChannelBinding": binding.hex()},
               text("aitbc/session/v1") + text(CHAIN) + IDS["operator"] + IDS["miner"] + sha(b"challenge")
               + text(binding))

    vector("rotation", "to the miner's key", "miner",
           {"ChainID": CHAIN, "Account": NAMES["client"], "PublicKey": public(SEEDS["miner"]).hex()},
           text("aitbc/rotation/v1") + text(CHAIN) + IDS["client"] + public(SEEDS["miner"]))

    transfer = proto(1, IDS["miner"]) + proto(2, 250_000)
    body = (proto(1, 1) + proto(2, CHAIN.encode()) + proto(3, IDS["client"]) + proto(4, T0 + 60_000_000)
            + proto(5, 7) + proto(6, proto(1, transfer)))
    signing = text("aitbc/tx/v1") + text(body)
    tx = proto(1, body) + proto(2, public(SEEDS["client"])) + proto(3, sign(SEEDS["client"], signing))
    vector("transaction", "a transfer", "client",
           {"ChainID": CHAIN, "Signer": NAMES["client"], "ExpiresUS": T0 + 60_000_000, "Sequence": 7,
            "To": NAMES["miner"], "Amount": coin(250_000)},
           signing, tx_body=body.hex(), tx=tx.hex(), tx_hash=sha(tx).hex())

    keys = {who: {"seed": s.hex(), "public_key": public(s).hex(), "account": NAMES[who]} for who, s in SEEDS.items()}
    print(json.dumps({"keys": keys, "vectors": VECTORS}, indent=1))


main()
