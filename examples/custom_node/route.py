"""The route `POST /comfywatchman/ensure` of ComfyUI's own server; its modules are there only inside of it."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import comfywatchman_core as cw

from .ensuring import ensure


def add_route() -> None:
    """Register the route with the server that loads this."""
    import folder_paths
    from aiohttp import web
    from server import PromptServer

    server = PromptServer.instance
    one_at_a_time = asyncio.Lock()

    @server.routes.post("/comfywatchman/ensure")
    async def answer(request: Any) -> Any:
        stop = threading.Event()
        # `send_sync` hands over to the loop, so that it may be called from the threads of a run.
        tell = partial(server.send_sync, "comfywatchman")
        try:
            workflow = await request.json()
            async with one_at_a_time:
                found = await asyncio.to_thread(ensure, workflow, folder_paths.base_path, tell, stop)
        except asyncio.CancelledError:  # the page was closed: stop, and keep what has arrived
            stop.set()
            raise
        except ValueError:
            return web.json_response({"ok": False, "problems": ["this is not JSON"]}, status=400)
        except cw.ComfyWatchmanError as error:
            return web.json_response({"ok": False, "problems": [str(error)], "hint": error.hint}, status=400)
        return web.json_response(found)
