"""In which directories an installation of ComfyUI looks for the files of each folder key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from attrs import field, frozen

from comfywatchman_core.errors import UnsafeName
from comfywatchman_core.names import MODEL_EXTENSIONS, has_model_extension, safe_name

from .extra_paths import ExtraPath, read_extra_paths
from .keys import canonical_key, is_folder_key, is_forbidden, key_table

_MANAGER_KEY = "download_model_base"  # ComfyUI-Manager's: where its downloads go


@frozen(kw_only=True)
class ModelFolders:
    """The roots of each folder key, in the order in which ComfyUI looks.

    Build it with :meth:`for_comfyui` or :meth:`for_models_dir`.
    """

    models: Path
    """The main models directory."""
    base: Path | None = None
    """The ComfyUI base directory, where there is one around ``models``."""
    _configured: Mapping[str, tuple[Path, ...]] = field(repr=False)
    """Canonical key to all its roots."""
    _default: Mapping[str, Path] = field(factory=dict, repr=False)
    """Canonical key to the root that an ``is_default`` section puts first."""
    _download_base: Path | None = field(default=None, repr=False)
    _extensions: Mapping[str, frozenset[str]] = field(factory=dict, repr=False)

    @classmethod
    def for_comfyui(
        cls,
        base: Path,
        *,
        extra: Sequence[Path] = (),
        models_dir: Path | None = None,
        output_dir: Path | None = None,
    ) -> ModelFolders:
        """Read the folders of the installation in *base* (what ``--base-directory`` names).

        :param extra: More files like ``extra_model_paths.yaml``; the one in *base* is always read.
        :param models_dir: What ``--models-directory`` names, where it is used.
        :param output_dir: What ``--output-directory`` names, where it is used.
        :raises UsageError: A file of extra paths cannot be read.
        """
        base = _absolute(base)
        own = base / "extra_model_paths.yaml"
        files = [*([own] if own.is_file() else []), *extra]
        return cls._build(
            _absolute(models_dir) if models_dir else base / "models",
            base,
            files,
            _absolute(output_dir) if output_dir else base / "output",
        )

    @classmethod
    def for_models_dir(cls, models: Path, *, extra: Sequence[Path] = ()) -> ModelFolders:
        """Take *models* as a models directory without a ComfyUI around it. Raises as :meth:`for_comfyui`."""
        return cls._build(_absolute(models), None, extra, None)

    @classmethod
    def of_installation(
        cls, roots: Mapping[str, tuple[Path, ...]], extensions: Mapping[str, frozenset[str]]
    ) -> ModelFolders:
        """Take the folders as a running ComfyUI states them.

        :param roots: Canonical key to directories in search order.
        :param extensions: Canonical key to the suffixes it lists, where it says them.
        """
        checkpoints = next(iter(roots.get("checkpoints", ())), Path("models", "checkpoints"))
        models = checkpoints.parent
        base = models.parent if (models.parent / "custom_nodes").is_dir() else None
        own = {key: (models / directory,) for key, directory in key_table().packs.items()}
        return cls(models=models, base=base, configured={**own, **roots}, extensions=extensions)

    @classmethod
    def _build(cls, models: Path, base: Path | None, files: Iterable[Path], output: Path | None) -> ModelFolders:
        table = key_table()
        roots: dict[str, list[Path]] = {key: [models / name for name in names] for key, names in table.core.items()}
        defaults: dict[str, Path] = {}
        download_base: Path | None = None
        for extra in (entry for file in files for entry in read_extra_paths(file)):
            if extra.key == _MANAGER_KEY:
                download_base = download_base or extra.directory
                continue
            _add(roots, defaults, extra)
        for key, name in table.output.items() if output else ():
            assert output is not None
            if output / name not in roots[key]:
                roots[key].append(output / name)
        for key, directory in table.packs.items():
            own = models / directory
            if own not in roots.setdefault(key, []):
                roots[key].append(own)  # packs register their folder after the file of extra paths was read
        return cls(
            models=models,
            base=base,
            configured={key: tuple(paths) for key, paths in roots.items()},
            default=defaults,
            download_base=download_base,
        )

    @staticmethod
    def canonical(key: str) -> str:
        """The key that *key* is an alias of, or *key* itself."""
        return canonical_key(key)

    @staticmethod
    def is_folder_key(text: str) -> bool:
        """Say whether *text* can name a folder of models; ``custom_nodes`` and the like cannot."""
        return is_folder_key(text)

    def keys(self) -> tuple[str, ...]:
        """Every folder key that is known here, borrowed ones included."""
        return (*self._configured, *(key for key in key_table().borrowed if key not in self._configured))

    def roots(self, key: str) -> tuple[Path, ...]:
        """The directories of *key* in search order.

        A key that nothing here knows, but that some pack may, has the one below ``models``
        that bears its name; a key that is no model folder has none.
        """
        key = canonical_key(key)
        loan = key_table().borrowed.get(key)
        if loan is not None:
            return self.roots(loan[0])
        found = self._configured.get(key)
        if found is not None and not is_forbidden(key):
            return found
        head, _, rest = key.partition("/")
        if rest:
            try:
                below = safe_name(rest)
            except UnsafeName:
                return ()
            return tuple(root / below for root in self.roots(head))
        return (self.models / key,) if is_folder_key(key) else ()

    def extensions(self, key: str) -> frozenset[str]:
        """Suffixes, lower case, of the files that ComfyUI lists for *key*; empty where it lists every file."""
        key = canonical_key(key)
        table = key_table()
        if key in self._extensions:
            return self._extensions[key]
        if key in table.extensions:
            return table.extensions[key]
        if key in table.borrowed:
            return table.borrowed[key][1]
        return table.extensions[""] if key in table.core else frozenset()

    def related(self, key: str) -> tuple[str, ...]:
        """Keys whose files lie in the directories of *key*: itself, the key it borrows from, and its borrowers."""
        key = canonical_key(key)
        borrowed = key_table().borrowed
        owner = borrowed[key][0] if key in borrowed else key
        return (owner, *(borrower for borrower, loan in borrowed.items() if loan[0] == owner))

    def destination(self, key: str, name: PurePosixPath) -> Path:
        """Choose where a new file goes.

        The root is, in this order: one below ComfyUI-Manager's ``download_model_base``, the one that
        an ``is_default`` section puts first, the one that bears the key's own name, the first.

        :raises UnsafeName: *key* is no model folder, *name* is none of a model or cannot be spelled on this system,
            or the place lies outside the model folders.
        """
        name = safe_name(name)
        if not has_model_extension(name) and "" not in self.extensions(key):
            raise UnsafeName(
                f"{str(name)[:120]!a} does not end like a model file",
                hint=f"What is written ends in one of {', '.join(sorted(MODEL_EXTENSIONS))}.",
            )
        root = self.target_root(key)
        path = root / name
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise UnsafeName(
                f"{str(name)[:120]!a} cannot be the name of a file here, where names are spelled in {error.encoding}",
                hint="Set PYTHONUTF8=1, or a locale of UTF-8 such as LC_ALL=C.UTF-8.",
            ) from None
        if path.parent != root:
            self._check_inside(key, path)
        return path

    def target_root(self, key: str) -> Path:
        """The root that :meth:`destination` uses for *key*. Raises as it does."""
        key = canonical_key(key)
        roots = [root for root in self.roots(key) if not self._holds_no_models(root)]
        if not roots:
            raise UnsafeName(
                f"{key!a} is not a folder for models",
                hint="Name one of ComfyUI's model folders, for example --folder checkpoints.",
            )
        loan = key_table().borrowed.get(key)
        home = loan[0] if loan is not None else key
        if self._download_base is not None:
            below = [root for root in roots if root.is_relative_to(self._download_base)]
            if below:
                return next((root for root in below if root.name == home), below[0])
        if home in self._default and self._default[home] in roots:
            return self._default[home]
        if home in key_table().core:
            return next((root for root in roots if root.name == home), roots[0])
        return roots[0]

    def all_roots(self) -> tuple[Path, ...]:
        """Every directory of every key, each once."""
        return tuple(dict.fromkeys(root for roots in self._configured.values() for root in roots))

    def _holds_no_models(self, root: Path) -> bool:
        """Say whether *root* lies where ComfyUI keeps code, settings or inputs, whichever name led there."""
        if self.base is None:
            return False
        for spelled in (root, Path(os.path.realpath(root))):
            for base in {self.base, Path(os.path.realpath(self.base))}:
                if spelled.is_relative_to(base):
                    parts = spelled.relative_to(base).parts
                    if not parts or (is_forbidden(parts[0]) and parts[0].lower() not in ("models", "output")):
                        return True
        return False

    def _check_inside(self, key: str, path: Path) -> None:
        """Refuse a place that a link below a root leads out of every root."""
        parent = Path(os.path.realpath(path.parent))
        roots = chain(self.roots(key), *self._configured.values())
        inside = any(parent.is_relative_to(os.path.realpath(root)) for root in roots)
        if not inside or self._holds_no_models(parent):
            raise UnsafeName(
                f"{str(path)[:300]!a} leads out of the model folders, to {str(parent)[:300]!a}",
                hint="Remove the link, or name its target in extra_model_paths.yaml.",
            )


def _add(roots: dict[str, list[Path]], defaults: dict[str, Path], extra: ExtraPath) -> None:
    key = canonical_key(extra.key)
    known = roots.setdefault(key, [])
    if extra.is_default:
        if extra.directory in known:
            known.remove(extra.directory)
        known.insert(0, extra.directory)
        defaults[key] = extra.directory
    elif extra.directory not in known:
        known.append(extra.directory)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
