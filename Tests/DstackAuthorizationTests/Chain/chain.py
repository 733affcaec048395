"""A chain on this machine: an EVM in memory behind Ethereum's JSON-RPC.

Beside the methods that nodes have it takes `test_deploy` [], which makes contracts of a KMS and of an application and answers
their addresses, `test_transact` [address, signature, [arguments]], which is mined at once, and `test_mine` [count]. Prints one
line when it answers: its address, and the chain.
"""
import http.server
import json
import pathlib
import sys
import threading

import eth_abi
import vyper
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import BlockNotFound, TransactionFailed
from eth_utils import keccak

HERE = pathlib.Path(__file__).resolve().parent
CHAIN = 131277322940537
tester = EthereumTester(PyEVMBackend())
account = tester.get_accounts()[0]
lock = threading.Lock()


class RPCError(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


def compiled(name):
    settings = vyper.compiler.settings.Settings(evm_version="cancun")
    return vyper.compile_code((HERE / name).read_text(), output_formats=["bytecode"], settings=settings)["bytecode"]


codes = {"kms": compiled("kms.vy"), "app": compiled("app.vy")}


def deploy(code):
    sent = tester.send_transaction({"from": account, "data": code, "gas": 8_000_000, "gas_price": 10**10})
    return tester.get_transaction_receipt(sent)["contract_address"]


def transact(contract, signature, arguments):
    kinds = [kind for kind in signature[signature.index("(") + 1:-1].split(",") if kind]
    values = [bytes.fromhex(value[2:]) if kind == "bytes32" else value for kind, value in zip(kinds, arguments)]
    data = keccak(text=signature)[:4] + eth_abi.encode(kinds, values)
    tester.send_transaction(
        {"from": account, "to": contract, "data": "0x" + data.hex(), "gas": 4_000_000, "gas_price": 10**10})


def block(tag):
    if isinstance(tag, str) and tag.startswith("0x"):
        tag = int(tag, 16)
    try:
        found = tester.get_block_by_number(tag)
    except BlockNotFound:
        return None
    return {"number": hex(found["number"]), "hash": found["hash"], "timestamp": hex(found["timestamp"]),
            "transactions": [str(item) for item in found["transactions"]]}


def call(transaction, tag):
    found = block(tag)
    if found is None:
        raise RPCError(-32000, "header not found")
    try:
        return tester.call(
            {"from": account, "to": transaction["to"], "data": transaction["data"], "gas": 8_000_000, "gas_price": 10**10},
            block_number=int(found["number"], 16))
    except TransactionFailed as error:
        data = error.args[0] if error.args else ""
        if isinstance(data, str) and data.startswith("0x"):
            raise RPCError(3, "execution reverted", data) from error
        raise RPCError(3, f"execution reverted: {data}") from error


def answer(method, parameters):
    if method == "eth_chainId":
        return hex(CHAIN)
    if method == "eth_blockNumber":
        return block("latest")["number"]
    if method == "eth_getBlockByNumber":
        return block(parameters[0])
    if method == "eth_call":
        return call(parameters[0], parameters[1])
    if method == "test_deploy":
        return {name: deploy(code) for name, code in codes.items()}
    if method == "test_transact":
        return transact(*parameters)
    if method == "test_mine":
        return tester.mine_blocks(parameters[0]) and None
    raise RPCError(-32601, f"the method {method} does not exist")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = {"jsonrpc": "2.0", "id": question["id"]}
        try:
            with lock:
                reply["result"] = answer(question["method"], question.get("params", []))
        except RPCError as error:
            reply["error"] = error.body
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "chain_id": CHAIN}), flush=True)
# Ends with whoever started it: nothing is ever written there.
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
