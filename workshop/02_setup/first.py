"""A first program on Twisted: it asks the ERP whether it is there, and does not wait.

FRAPPE_KEY=… FRAPPE_SECRET=… python first.py --frappe http://127.0.0.1:8000
"""

import argparse
import json
import os
import sys
import warnings

from twisted import version
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import react
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm


async def ask(agent, url):
    """Send one request, and return the answer's status and what it says."""
    token = f"token {os.environ.get('FRAPPE_KEY')}:{os.environ.get('FRAPPE_SECRET')}"
    answer = await agent.request(b"GET", url.encode("ascii"), Headers({"Authorization": [token]}))
    content = json.loads(await readBody(answer))
    return answer.code, content.get("message") or content.get("exc_type")


async def main(reactor, *arguments):
    """Ask, and print what comes back."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    given = options.parse_args(arguments)
    print(f"Twisted {version.short()} on the reactor {type(reactor).__name__}")
    agent = Agent(reactor, connectTimeout=5)
    asked = Deferred.fromCoroutine(ask(agent, f"{given.frappe}/api/method/frappe.auth.get_logged_user"))
    print(f"asked; what I have so far is a {type(asked).__name__}, and I could do something else now")
    try:
        status, said = await asked
    except ConnectError as error:
        sys.exit(f"nobody answers at {given.frappe} ({error}); is the ERP running, and is this its address?")
    if status in {401, 403}:
        sys.exit(f"the ERP answers {status} {said}: set FRAPPE_KEY and FRAPPE_SECRET to what it printed")
    print(f"the ERP answers {status}: you are {said}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
