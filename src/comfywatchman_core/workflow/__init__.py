"""Workflows: which model files they name."""

from __future__ import annotations

from .finding import find_workflows as find_workflows
from .finding import read_workflows as read_workflows
from .loaders import LoaderTable as LoaderTable
from .reading import Workflow as Workflow
from .reading import read_workflow as read_workflow
from .reading import read_workflow_bytes as read_workflow_bytes
