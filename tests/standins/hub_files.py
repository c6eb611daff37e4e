"""The Hub stand-in's files: ``/resolve/`` and ``/raw/``, and the storage that they redirect to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import evolve

from comfywatchman_core.testing import Asked, Reply

from .hub_repos import Repository, StoredFile

if TYPE_CHECKING:
    from .hub import HubStandIn

_XET_INFO = "application/vnd.xet-fileinfo+json"


def resolve(hub: HubStandIn, asked: Asked, kind: str, parts: Sequence[str]) -> Reply:
    """Answer ``[KIND/]OWNER/NAME/resolve|raw|blob|tree/REVISION/PATH``; *parts* are the decoded segments."""
    repo, length, refusal = hub.find(asked, kind, parts)
    if repo is None:
        return refusal
    match parts[length:]:
        case [("resolve" | "raw" | "blob") as action, revision, *path] if path:
            return _file(hub, asked, repo, action, revision, "/".join(path))
        case [] | ["tree" | "blob", *_]:
            return Reply.html(f"<!DOCTYPE html><html><title>{repo.id}</title></html>")
    return hub.refusal(404, message="Sorry, we can't find the page you are looking for.")


def _file(hub: HubStandIn, asked: Asked, repo: Repository, action: str, revision: str, path: str) -> Reply:
    if (closed := hub.gate(asked, repo)) is not None:
        return closed
    commit = repo.commit_of(revision)
    if commit is None:
        return hub.refusal(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
    committed = {"X-Repo-Commit": commit}
    file = repo.commits[commit].get(path)
    if file is None:
        return evolve_headers(hub.refusal(404, code="EntryNotFound", message="Entry not found"), committed)
    if action == "blob":
        return Reply.html(f"<!DOCTYPE html><html><title>{path}</title></html>")
    if action == "raw" or not file.lfs:
        body = file.pointer if file.lfs else file.data
        headers = {"ETag": f'"{file.oid}"', "Content-Type": "text/plain; charset=utf-8", **committed}
        if repo.scenario == "resolve-cache" and action == "resolve":
            # 2025-07: small files are served by a cache within the Hub
            location = f"/api/resolve-cache/{repo.kind}/{repo.id}/{commit}/{quote(path)}"
            return Reply(status=307, headers={**committed, "Location": location})
        return evolve_headers(Reply.of_bytes(body, asked), headers)
    return _large(hub, asked, repo, commit, path, file)


def cached(hub: HubStandIn, asked: Asked, kind: str, parts: Sequence[str]) -> Reply:
    """Answer for a small file out of the Hub's own cache."""
    repo, length, refusal = hub.find(asked, kind, parts)
    if repo is None:
        return refusal
    commit, *path = parts[length:]
    file = repo.commits.get(commit, {}).get("/".join(path))
    if file is None:
        return hub.refusal(404, code="EntryNotFound", message="Entry not found")
    headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": commit, "Content-Type": "text/plain; charset=utf-8"}
    return evolve_headers(Reply.of_bytes(file.data, asked), headers)


def _large(hub: HubStandIn, asked: Asked, repo: Repository, commit: str, path: str, file: StoredFile) -> Reply:
    headers = {
        "X-Repo-Commit": commit,
        "X-Linked-Etag": f'"{file.sha256}"',
        "X-Linked-Size": str(file.size),
        "Accept-Ranges": "bytes",
        "Vary": "Origin, Accept",
    }
    link = hub.sign(repo, commit, path)
    match repo.scenario:
        case "limited-once" if hub.first_time(repo, "429"):
            reply = hub.refusal(429, message="Too many requests")
            return evolve_headers(reply, {"RateLimit": '"resolvers";r=0;t=1'})
        case "no-commit":
            del headers["X-Repo-Commit"]
        case "same-host" | "relative" as where:
            link = link.removeprefix(hub.cdn_url)
            link = link if where == "relative" else hub.url + link
        case "direct":
            headers |= {"ETag": f'"{file.sha256}"', "Content-Type": "application/octet-stream"}
            return evolve_headers(Reply.of_bytes(file.data, asked), headers)
        case "xet" | "xet-broken" | "xet-unreachable" | "xet-hangs":
            route = f"{hub.url}/api/{repo.kind}/{repo.id}/xet-read-token/{commit}"
            store = f"{hub.cas_url}/v1/reconstructions/{file.xet_hash}"
            links = f'<{route}>; rel="xet-auth", <{store}>; rel="xet-reconstruction-info"'
            headers |= {"X-Xet-Hash": file.xet_hash, "Link": links}
            if _XET_INFO in asked.headers.get("accept", ""):
                told = {"hash": file.xet_hash, "refreshUrl": route, "reconstructionUrl": store}
                reply = Reply.json({**told, "etag": f'"{file.sha256}"', "size": file.size})
                return evolve_headers(reply, {**headers, "ETag": f'"{file.sha256}"', "Content-Type": _XET_INFO})
    body = f"Found. Redirecting to {link}".encode()
    return Reply(status=302, headers={**headers, "Location": link, "Content-Type": "text/plain"}, body=body)


def storage(hub: HubStandIn, asked: Asked) -> Reply:
    """Answer as the storage host: it knows signed links and no account at all."""
    if "authorization" in asked.headers:
        # S3 accepts one way of signing; a bearer token on top of a signed link is an error.
        return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")
    repo, path, file = hub.signed(asked)
    if repo is None or file is None:
        return _xml(403, "AccessDenied", "Request has expired")
    headers = {"ETag": f'"{file.xet_hash}"'}
    match repo.scenario:
        case "ignores-range":
            return Reply(headers={**headers, "Content-Type": "application/octet-stream"}, body=file.data)
        case "html":
            return Reply.html("<!DOCTYPE html><html><title>Sign in</title></html>")
        case "pointer":
            return evolve_headers(Reply.of_bytes(file.pointer, asked), headers)
        case "short":
            return evolve_headers(Reply.of_bytes(file.data[:-10], asked), headers)
        case "cut" if hub.first_time(repo, f"cut {path}", times=2):
            reply = evolve_headers(Reply.of_bytes(file.data, asked), headers)
            # A length that the body does not reach, and then the connection ends.
            cut = {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}
            return evolve(reply, headers=cut, body=reply.body[: len(reply.body) // 2])
    return evolve_headers(Reply.of_bytes(file.data, asked), headers)


def evolve_headers(reply: Reply, headers: dict[str, str]) -> Reply:
    """The same reply with more headers."""
    return evolve(reply, headers={**reply.headers, **headers})


def _xml(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status=status, headers={"Content-Type": "application/xml"}, body=body.encode())
