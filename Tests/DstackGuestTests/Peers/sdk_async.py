"""The real Python SDK, asynchronous, against an agent: every method, one after the other and many at once.

usage: sdk_async.py MAIN_ENDPOINT TAPPD_ENDPOINT
"""
import asyncio
import hashlib
import sys
import warnings

from dstack_sdk import AsyncDstackClient, AsyncTappdClient

warnings.simplefilter("ignore", DeprecationWarning)


def expect(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def rtmr3(quote):
    return bytes.fromhex(quote)[48 + 472:48 + 520].hex()


async def main():
    async with AsyncDstackClient(sys.argv[1]) as client:
        expect(await client.is_reachable(), "reachable")
        expect((await client.version()).rev != "", "version")
        info = await client.info()
        expect(len(info.app_id) == 40 and len(info.tcb_info.event_log) > 5, "info")
        # Many at once, over several connections.
        keys = await asyncio.gather(*(client.get_key(f"path/{i % 20}") for i in range(200)))
        expect(len({key.key for key in keys}) == 20, "each path has one key")
        quotes = await asyncio.gather(*(client.get_quote(f"nonce {i}") for i in range(16)))
        for i, quote in enumerate(quotes):
            expect(bytes.fromhex(quote.report_data).rstrip(b"\0") == f"nonce {i}".encode(), "each its own report data")
            expect(quote.replay_rtmrs()[3] == rtmr3(quote.quote), "replay")
        await client.emit_event("async", b"1")
        quote = await client.get_quote(b"after")
        expect(quote.replay_rtmrs()[3] == rtmr3(quote.quote) != rtmr3(quotes[0].quote), "replay after an event")
        tls = await client.get_tls_key("async", ["a.example"], True, True, True)
        expect(len(tls.certificate_chain) >= 2, "certificate")
        expect(len((await client.attest("x")).attestation) > 2000, "attestation")
        signed = await client.sign("ed25519", b"data")
        verified = await client.verify(
            "ed25519", b"data", signed.decode_signature(), signed.decode_public_key())
        expect(verified.valid, "signature")
    async with AsyncTappdClient(sys.argv[2]) as tappd:
        expect((await tappd.info()).app_id == info.app_id, "the older socket")
        expect(len((await tappd.derive_key("a", "b")).certificate_chain) >= 2, "derived key")
        quote = await tappd.tdx_quote("data", "sha384")
        expect(
            bytes.fromhex(quote.quote)[568:632] == hashlib.sha384(b"app-data:data").digest().ljust(64, b"\0"), "hashed")
        expect(quote.replay_rtmrs()[3] == rtmr3(quote.quote), "replay on the older socket")
        expect((await tappd.get_key("path/1")).key == keys[1].key, "inherited: get_key")
    print("done")


asyncio.run(main())
