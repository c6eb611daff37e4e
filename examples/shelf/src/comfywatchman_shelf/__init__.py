"""Back end `shelf`: models from a folder that somebody shares, named by `root` in `[backends.shelf]`."""

import shutil
from pathlib import Path

from comfywatchman_core import Artifact, Candidate, Match, hookimpl


class ShelfBackend:
    api_version = 1
    priority = 80  # nearer than the internet, less certain than a table of known models

    @hookimpl
    def resolve_model(self, request, context):
        if "root" not in context.settings or request.name is None:
            return None  # not set up, or asked for an address: decline
        file = Path(context.settings["root"], request.folder, request.name).expanduser()
        if not file.is_file():
            return ()  # looked, and it is not there
        return [Candidate(match=Match.FILENAME, url=file.absolute().as_uri(), details={"path": str(file)})]

    @hookimpl
    def download_artifact(self, candidate, target, context):
        if candidate.backend != context.name:
            return None  # somebody else's offer: decline
        shutil.copyfile(candidate.details["path"], target)
        return Artifact(path=target, size=target.stat().st_size)


backend = ShelfBackend()
