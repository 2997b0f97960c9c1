"""Requests that schemathesis takes for wrong, or for right, where HTTP says otherwise; they are not sent."""

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    headers = case.headers or {}
    # RFC 9110, section 5.1: whoever does not know a header passes over it, so one more makes no request wrong.
    has_unknown_header = "x-schemathesis-unknown-property" in headers
    # It is made up as one that has the documented form, which no empty text has.
    has_empty_tag = headers.get("If-Match") == ""
    # It goes on for as long as it is listened to, and has no form of which schemathesis reads a piece.
    follows = case.operation.path.endswith("/logs") and str((case.query or {}).get("follow")).lower() == "true"
    return not has_unknown_header and not has_empty_tag and not follows
