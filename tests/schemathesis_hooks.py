"""What schemathesis had better do otherwise than it would.

Requests that it takes for wrong, or for right, where HTTP says otherwise, are not sent. Whoever signs out does so in a session
of its own: all others share one, which would be over in the midst of what they ask.
"""

from urllib.parse import urljoin

import requests
import schemathesis


@schemathesis.hook
def filter_case(context, case):
    headers = case.headers or {}
    # RFC 9110, section 5.1: whoever does not know a header passes over it, so one more makes no request wrong.
    has_unknown_header = "x-schemathesis-unknown-property" in headers
    # It is made up as one that has the documented form, which no empty text has.
    has_empty_tag = headers.get("If-Match") == ""
    return not has_unknown_header and not has_empty_tag


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers or {}
    is_signed_in = headers.get("Authorization", "").startswith("Bearer ey")
    if case.operation.label == "POST /api/v1/sessions/end" and is_signed_in:
        url = urljoin(case.operation.schema.get_base_url(), "/api/v1/sessions/start")
        answer = requests.post(url, json={"client": "schemathesis signing out"}, timeout=10)
        case.headers["Authorization"] = f"Bearer {answer.json()['token']}"
