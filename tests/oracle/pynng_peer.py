#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pynng, the Python binding of nng, as the other side of a conversation.

  pynng_peer.py ask URL ...  asks a daemon at each address: one request at a time, and many at once
                             by contexts whose replies are read in another order
  pynng_peer.py answer       prints the address at which it answers every request with a map that
                             holds the request as it came, until standard input ends

Maps are packed by hand, so that nothing but pynng is needed.
"""
import os
import sys
import threading

import pynng

TIMEOUT_MS = 20000
TURNS, CONTEXTS, ANSWERERS = 100, 48, 8


def text(value):
    raw = value.encode()
    assert len(raw) < 256
    return b"\xd9" + bytes([len(raw)]) + raw


def ping(request_id, pad):
    return (b"\x83" + text("op") + text("ping") + text("id") + text(request_id) + text("pad")
            + b"\xce" + pad.to_bytes(4, "big"))


def check(reply, request_id, pad):
    assert b"\xa2ok\xc3" in reply, reply
    assert request_id.encode() in reply, (request_id, reply[:80])
    assert len(reply) > pad


def ask(url):
    with pynng.Req0(dial=url, send_timeout=TIMEOUT_MS, recv_timeout=TIMEOUT_MS) as socket:
        for turn in range(TURNS):
            socket.send(ping(f"turn-{turn}.", turn * 37))
            check(socket.recv(), f"turn-{turn}.", turn * 37)
        contexts = [socket.new_context() for _ in range(CONTEXTS)]
        for number, context in enumerate(contexts):
            context.send(ping(f"context-{number}.", number))
        for number, context in reversed(list(enumerate(contexts))):
            check(context.recv(), f"context-{number}.", number)
        for context in contexts:
            context.close()


def answer_with(context):
    while True:
        request = context.recv()
        context.send(b"\x82" + b"\xa2ok\xc3" + text("request")
                     + b"\xc6" + len(request).to_bytes(4, "big") + request)


def answer():
    with pynng.Rep0(listen="tcp://127.0.0.1:0", recv_max_size=1 << 20) as socket:
        for _ in range(ANSWERERS):
            threading.Thread(target=answer_with, args=(socket.new_context(),), daemon=True).start()
        print(f"tcp://{socket.listeners[0].local_address}", flush=True)
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:] == ["answer"]:
        answer()
    elif sys.argv[1:2] == ["ask"]:
        for address in sys.argv[2:]:
            ask(address)
    else:
        sys.exit(__doc__)
