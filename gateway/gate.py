"""Who may come in: sessions in cookies, signing in and out, and one audit line for each decision."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.clients import Client, client_of
from gateway.limits import RateLimit
from gateway.problems import Refused
from gateway.render import rfc3339
from gateway.responses import NO_STORE, json_response
from gateway.session import LIFE_S, Role, Session, Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users, Verdict
from keyviz_grpc.auth import MAX_SHOWN_CHARS, claimed_subject

audit = logging.getLogger("keyviz.audit")

SESSION_COOKIE: Final = "admin_session"
CSRF_COOKIE: Final = "admin_csrf"
CSRF_HEADER: Final = "x-admin-csrf"
COOKIE_PATH: Final = "/admin"
MAX_BODY_BYTES: Final = 4096
BODY_S: Final = 10.0


class Gate:
    """Decides about sessions. users None: nobody can sign in here, or everybody where no session is required."""

    def __init__(self, sessions: Sessions, users: Users | None, settings: GatewaySettings) -> None:
        self._sessions, self._users, self._settings = sessions, users, settings
        self._attempts = RateLimit(settings.login_attempts)

    def admit(self, request: Request) -> None:
        """Lets in who has a session, and everybody where none is required. Raises Refused (401) without a reason."""
        if self._sessions.required:
            self._proven(request)

    def admit_full(self, request: Request) -> Session | None:
        """As `admit`, for what holds user keys; the session, None where none is required and there is none.

        Raises Refused (403) too, for a session without the full role.
        """
        if not self._sessions.required:
            return self._session(request)
        session = self._proven(request)
        if session.role is not Role.FULL:
            self._note(request, "look", "forbidden", who=session.subject)
            raise Refused("forbidden", "this holds user keys: the role full is needed")
        return session

    def _proven(self, request: Request) -> Session:
        session = self._session(request)
        if session is None:
            self._note(request, "look", "unauthenticated", who=_claimed(request))
            raise Refused("unauthenticated", "sign in first: there is no valid session")
        return session

    def note_look(self, request: Request, session: Session | None, what: str, told: Mapping[str, object]) -> None:
        """One audit line for a look that went well; told: what was looked at, without what was seen."""
        self._note(request, what, "ok", who="" if session is None else session.subject, told=told)

    async def login(self, request: Request) -> Response:
        """POST …/auth/login: two keys for two cookies."""
        client = self._client(request)
        wait_s = self._attempts.take(client.rate_key)
        if wait_s > 0:
            self._note(request, "login", "rate_limited")
            retry = {"Retry-After": str(max(1, math.ceil(wait_s)))}
            raise Refused("rate_limited", "too many attempts to sign in, try again later", headers=retry)
        try:
            access_key, secret_key = await _read_keys(request)
        except Refused as refused:
            self._note(request, "login", refused.code)
            raise
        verdict = self._check(access_key, secret_key)
        if not verdict.known:
            self._note(request, "login", "invalid_credentials", who=access_key)
            raise Refused("invalid_credentials", "the access key or the secret key is wrong")
        if verdict.role is None:
            self._note(request, "login", "forbidden", who=access_key)
            raise Refused("forbidden", "this access key has no role here")
        token, session = self._sessions.mint(access_key, verdict.role)
        self._note(request, "login", "ok", who=access_key)
        body = {"role": session.role.value, "expires_at": rfc3339(session.expires * 1000)}
        response = json_response(orjson.dumps(body))
        self._set_cookies(response, client, {SESSION_COOKIE: token, CSRF_COOKIE: secrets.token_urlsafe(32)}, LIFE_S)
        return response

    async def logout(self, request: Request) -> Response:
        """POST …/auth/logout: takes both cookies back, for a session whose page shows that it can read them."""
        session = self._session(request)
        if session is None:
            self._note(request, "logout", "unauthenticated", who=_claimed(request))
            raise Refused("unauthenticated", "there is no session to end")
        shown, held = request.headers.get(CSRF_HEADER, ""), _cookies(request).get(CSRF_COOKIE, "")
        if not shown or not held:
            self._note(request, "logout", "csrf_missing", who=session.subject)
            raise Refused("csrf_missing", "send the cookie admin_csrf again in the header X-Admin-CSRF")
        if not hmac.compare_digest(shown.encode(), held.encode()):
            self._note(request, "logout", "csrf_mismatch", who=session.subject)
            raise Refused("csrf_mismatch", "the header X-Admin-CSRF is not the cookie admin_csrf")
        self._note(request, "logout", "ok", who=session.subject)
        response = Response(status_code=204, headers=NO_STORE)
        self._set_cookies(response, self._client(request), {SESSION_COOKIE: "", CSRF_COOKIE: ""}, 0)
        return response

    def _check(self, access_key: str, secret_key: str) -> Verdict:
        if self._users is not None:
            return self._users.check(access_key, secret_key)
        # Where everybody may look, a page that insists on signing in gets what it asks for.
        return Verdict(known=False) if self._sessions.required else Verdict(known=True, role=Role.FULL)

    def _session(self, request: Request) -> Session | None:
        return self._sessions.verify(_cookies(request).get(SESSION_COOKIE, ""))

    def _client(self, request: Request) -> Client:
        return client_of(request, self._settings.trusted_proxies)

    def _set_cookies(self, response: Response, client: Client, values: dict[str, str], max_age_s: int) -> None:
        for name, value in values.items():
            response.set_cookie(
                name,
                value,
                max_age=max_age_s,
                path=COOKIE_PATH,
                secure=self._settings.secure_cookies or client.secure,
                httponly=name == SESSION_COOKIE,
                samesite="strict",
            )

    def _note(
        self, request: Request, what: str, outcome: str, *, who: str = "", told: Mapping[str, object] | None = None
    ) -> None:
        shown = who[:MAX_SHOWN_CHARS]
        address = self._client(request).address
        line: dict[str, Any] = {"who": shown, "client": address, "path": request.url.path[:200], "outcome": outcome}
        audit.log(logging.INFO if outcome == "ok" else logging.WARNING, what, extra={**line, **(told or {})})


def _claimed(request: Request) -> str:
    """Whom a session names that is none, or no longer one."""
    return claimed_subject(_cookies(request).get(SESSION_COOKIE, ""))


def _cookies(request: Request) -> dict[str, str]:
    """Of cookies of one name the first counts: browsers send the most specific path first."""
    found: dict[str, str] = {}
    for line in request.headers.getlist("cookie"):
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            try:
                parsed = SimpleCookie(f"{name}={value}") if value.startswith('"') else None
            except CookieError:
                continue
            found.setdefault(name, parsed[name].value if parsed and name in parsed else value)
    return found


async def _read_keys(request: Request) -> tuple[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused("unsupported_media_type", "the body must be application/json")
    try:
        body = orjson.loads(await _read_body(request))
    except orjson.JSONDecodeError:
        raise Refused("invalid_body", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused("invalid_body", "the body must be an object with access_key and secret_key")
    keys = [body.get(name) for name in ("access_key", "secret_key")]
    if any(key is None or key == "" for key in keys):
        raise Refused("missing_fields", "access_key and secret_key are both needed")
    access_key, secret_key = keys
    if not isinstance(access_key, str) or not isinstance(secret_key, str):
        raise Refused("invalid_body", "access_key and secret_key must be texts")
    return access_key, secret_key


async def _read_body(request: Request) -> bytes:
    too_large = Refused("payload_too_large", f"the body may have at most {MAX_BODY_BYTES} bytes")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > MAX_BODY_BYTES:
        raise too_large
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise Refused("invalid_body", "the body did not come in time") from None
    return body
