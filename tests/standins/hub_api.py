"""The Hub stand-in's JSON API: lists with paging, repository facts, trees, paths, accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from comfywatchman_core.testing import Asked, Reply

from . import hub_files
from .hub_repos import Repository, StoredFile

if TYPE_CHECKING:
    from .hub import HubStandIn

TREE_PAGE = 1000
EXPANDED_TREE_PAGE = 100


def answer(hub: HubStandIn, asked: Asked, parts: Sequence[str]) -> Reply:
    """Answer a request below ``/api/``; *parts* are the decoded path segments after it."""
    account = hub.account(asked)
    match parts:
        case ["whoami-v2"]:
            if account is None:
                return hub.refusal(401, message="Invalid username or password.")
            return Reply.json({"type": "user", "name": account.name, "auth": {"accessToken": {"role": "read"}}})
        case ["quicksearch"]:
            wanted = _one(asked, "q").casefold()
            hits = [repo for repo in hub.visible(account, "models") if wanted in repo.id.casefold()]
            count = int(_one(asked, "limit") or 20)
            return Reply.json(
                {"models": [{"id": repo.id, "trendingWeight": 0} for repo in hits[:count]], "modelsCount": len(hits)}
            )
        case ["search", "full-text"]:
            return _full_text(hub, asked)
        case ["resolve-cache", kind, *rest]:
            return hub_files.cached(hub, asked, kind, rest)
        case [("models" | "datasets" | "spaces") as kind]:
            return _listing(hub, asked, kind)
        case [("models" | "datasets" | "spaces") as kind, *rest]:
            return _about_one(hub, asked, kind, rest)
    return hub.refusal(404, message="Sorry, we can't find the page you are looking for.")


def _one(asked: Asked, key: str) -> str:
    return asked.query.get(key, [""])[0]


def _full_text(hub: HubStandIn, asked: Asked) -> Reply:
    if not hub.full_text:
        return hub.refusal(404, message="Sorry, we can't find the page you are looking for.")
    wanted = _one(asked, "q").casefold()
    hits = [repo for repo in hub.visible(None, "models") if wanted in repo.card.casefold()]
    count = int(_one(asked, "limit") or 10)
    return Reply.json(
        {
            "hits": [
                {"repoOwner": repo.id.partition("/")[0], "repoName": repo.id.partition("/")[2], "likes": 0}
                for repo in hits[:count]
            ],
            "estimatedTotalHits": len(hits),
        }
    )


def _listing(hub: HubStandIn, asked: Asked, kind: str) -> Reply:
    if not hub.lists:
        return hub.refusal(401, code="RepoNotFound", message="Repository not found")
    wanted, author = _one(asked, "search").casefold(), _one(asked, "author").casefold()
    found = [
        repo
        for repo in hub.visible(hub.account(asked), kind)
        if wanted in repo.id.casefold()
        and (not author or repo.id.partition("/")[0].casefold() == author)
        and (_one(asked, "gated") != "false" or not repo.gated)
    ]
    if _one(asked, "sort") == "downloads":
        found.sort(key=lambda repo: -repo.downloads)
    page = min(int(_one(asked, "limit") or hub.page_size), hub.page_size)
    start = int(_one(asked, "cursor") or 0)
    expand = asked.query.get("expand", [])
    full = _one(asked, "full") == "true"
    body = [_listed(repo, expand, full=full) for repo in found[start : start + page]]
    headers = {}
    if start + page < len(found):
        query = {key: values for key, values in asked.query.items() if key != "cursor"}
        query["cursor"] = [str(start + page)]
        link = f"{hub.url}{asked.path}?{urlencode(query, doseq=True)}"
        headers["Link"] = f'<{link}>; rel="next"'
    return Reply.json(body, 200, **headers)


def _listed(repo: Repository, expand: Sequence[str], *, full: bool) -> dict[str, Any]:
    known: dict[str, Any] = {
        "author": repo.id.partition("/")[0],
        "createdAt": "2025-01-01T00:00:00.000Z",
        "downloads": repo.downloads,
        "gated": repo.gated,
        "lastModified": "2026-01-01T00:00:00.000Z",
        "likes": 0,
        "private": repo.private,
        "sha": repo.head,
        "siblings": [{"rfilename": path} for path in repo.commits[repo.head]],
        "tags": [],
    }
    shown = {"_id": repo.head[:24], "id": repo.id}
    if expand:
        return shown | {key: known[key] for key in expand if key in known}
    keys = known if full else ("createdAt", "downloads", "likes", "private", "tags")
    return shown | {"modelId": repo.id} | {key: known[key] for key in keys}


def _about_one(hub: HubStandIn, asked: Asked, kind: str, rest: Sequence[str]) -> Reply:
    repo, name_length, refusal = hub.find(asked, kind, rest)
    if repo is None:
        return refusal
    match rest[name_length:]:
        case []:
            return _facts(hub, asked, repo, "main")
        case ["revision", revision]:
            return _facts(hub, asked, repo, revision)
        case ["auth-check"]:
            return hub.gate(asked, repo) or Reply.json({})
        case ["refs"]:
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repo.refs.items()]
            return Reply.json({"branches": branches, "tags": [], "converts": []})
        case ["tree", revision, *below]:
            return _tree(hub, asked, repo, revision, "/".join(below))
        case ["paths-info", revision]:
            return _paths_info(hub, asked, repo, revision)
        case ["xet-read-token", _]:
            return hub.xet_token(asked, repo)
    return hub.refusal(404, message="Sorry, we can't find the page you are looking for.")


def _facts(hub: HubStandIn, asked: Asked, repo: Repository, revision: str) -> Reply:
    commit = repo.commit_of(revision)
    if commit is None:
        return hub.refusal(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
    siblings: list[dict[str, Any]] = []
    for path, file in repo.commits[commit].items():
        sibling: dict[str, Any] = {"rfilename": path}
        if _one(asked, "blobs").lower() == "true":
            sibling |= {"blobId": file.oid, "size": file.size}
            if file.lfs:
                sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        siblings.append(sibling)
    return Reply.json(_listed(repo, [], full=True) | {"sha": commit, "disabled": repo.disabled, "siblings": siblings})


def _entry(path: str, file: StoredFile, repo: Repository) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        if repo.scenario.startswith("xet"):
            entry["xetHash"] = file.xet_hash
    return entry


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}


def _entries(repo: Repository, files: Mapping[str, StoredFile], below: str, *, deep: bool) -> list[dict[str, Any]]:
    prefix = f"{below}/" if below else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        steps = path[len(prefix) :].split("/")
        for depth in range(1, len(steps)):
            folder = prefix + "/".join(steps[:depth])
            if deep or depth == 1:
                entries.setdefault(folder, _folder(folder))
        if deep or len(steps) == 1:
            entries[path] = _entry(path, file, repo)
    return list(entries.values())


def _tree(hub: HubStandIn, asked: Asked, repo: Repository, revision: str, below: str) -> Reply:
    commit = repo.commit_of(revision)
    if commit is None:
        return hub.refusal(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
    deep = _one(asked, "recursive").lower() in ("true", "1")
    entries = _entries(repo, repo.commits[commit], below, deep=deep)
    if below and not entries:
        return hub.refusal(404, code="EntryNotFound", message=f"{below} does not exist on {revision}")
    page = EXPANDED_TREE_PAGE if _one(asked, "expand").lower() == "true" else TREE_PAGE
    page = min(page, int(_one(asked, "limit") or page), hub.page_size)
    start = int(_one(asked, "cursor") or 0)
    headers = {}
    if start + page < len(entries):
        query = {key: values for key, values in asked.query.items() if key != "cursor"}
        query["cursor"] = [str(start + page)]
        raw_path = asked.target.partition("?")[0]
        headers["Link"] = f'<{hub.url}{raw_path}?{urlencode(query, doseq=True)}>; rel="next"'
    return Reply.json(entries[start : start + page], 200, **headers)


def _paths_info(hub: HubStandIn, asked: Asked, repo: Repository, revision: str) -> Reply:
    commit = repo.commit_of(revision)
    if commit is None:
        return hub.refusal(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
    if asked.headers.get("content-type", "").startswith("application/json"):
        named = json.loads(asked.body).get("paths", [])
    else:
        named = parse_qs(asked.body.decode()).get("paths", [])
    wanted = [named] if isinstance(named, str) else list(named)
    files = repo.commits[commit]
    entries = [_entry(path, files[path], repo) for path in wanted if path in files]
    entries += [
        _folder(path) for path in wanted if path not in files and any(one.startswith(path + "/") for one in files)
    ]
    return Reply.json(entries)
