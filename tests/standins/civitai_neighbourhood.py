"""A town of look-alike models for the Civitai stand-in, and the names under which workflows ask for them.

Titles, versions and file names are put together as people do it: the same few
hundred words again and again, camel case, snake case, brackets, precisions,
epochs, annotations in other scripts. Everything follows from one seed.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator

from attrs import define, frozen

from .civitai import CivitaiStandIn, File, Model, Version
from .civitai_naming import printed_name

_LOOKS = [
    "real", "anime", "ink", "pastel", "cyber", "neon", "retro", "epic", "dream", "photo", "pixel", "comic", "fantasy",
    "vivid", "analog", "soft", "dark", "light", "ghost", "paper", "velvet", "crystal", "aurora", "lunar", "solar",
    "mystic", "arcane", "gothic", "vintage", "glossy", "cinematic", "dynamic", "noir", "candy", "frost", "ember",
    "urban", "wild", "silk", "marble", "copper", "jade", "amber", "ivory", "crimson", "azure", "absolute", "perfect",
    "ultimate", "super", "hyper", "meta", "nova", "quantum", "stellar", "cosmic", "royal", "ancient", "modern", "tiny",
]  # fmt: skip
_THINGS = [
    "vision", "mix", "style", "world", "shaper", "diffusion", "render", "portrait", "landscape", "garden", "castle",
    "dragon", "knight", "robot", "mecha", "forest", "ocean", "city", "street", "temple", "lantern", "mask", "armor",
    "dress", "kimono", "hanfu", "uniform", "hat", "hair", "eyes", "hands", "pose", "detail", "lineart", "sketch",
    "watercolor", "oil", "clay", "origami", "sticker", "logo", "icon", "poster", "film", "camera", "lens", "bokeh",
    "fog", "rain", "snow", "fire", "smoke", "cloud", "night", "sunset", "car", "train", "ship", "house", "interior",
    "kitchen", "food", "cake", "coffee", "cat", "fox", "wolf", "bird", "horse", "flower", "rose", "tree", "mountain",
    "river", "bridge", "tower", "crystal", "sword", "wand", "book", "clock", "map", "moon", "star", "galaxy",
]  # fmt: skip
_RARE = [
    "zephyr", "quixel", "obsidian", "halcyon", "verdigris", "tessera", "ozymandias", "palimpsest", "quillon", "rubato",
    "sfumato", "umbral", "vermilion", "wisteria", "xanadu", "yggdrasil", "zenith", "cobalt", "dulcimer", "ephemera",
]  # fmt: skip
_ANNOTATIONS = ["水墨", "插画", "風景", "细节", "写真", "アニメ", "線画"]
_FAMILIES = {"SD 1.5": ("", "SD15", "1.5"), "SDXL 1.0": ("XL", "SDXL", "xl"), "Pony": ("Pony", "PDXL", "pony"),
             "Illustrious": ("IL", "ILXL", "illustrious"), "Flux.1 D": ("Flux", "F1D", "flux")}  # fmt: skip
_TYPES = (
    [("LORA", "loras")] * 11
    + [("LoCon", "loras")]
    + [("Checkpoint", "checkpoints")] * 5
    + [("TextualInversion", "embeddings")] * 2
    + [("Controlnet", "controlnet"), ("Upscaler", "upscale_models"), ("DoRA", "loras"), ("VAE", "vae")]
)
_ASKED_FOR = r"\.(safetensors|pt|pth|ckpt)$"
_GENERIC_STEMS = frozenset({"lora", "model", "last", "v1", "vae", "test"})
_GENERIC = ["lora.safetensors", "model.safetensors", "last.safetensors", "v1.safetensors", "vae.pt", "test.safetensors"]


@frozen(kw_only=True)
class Lookup:
    """A name that a workflow gives, and who bears it."""

    name: str
    folder: str
    kind: str
    """How the name came about: ``printed``, ``composed``, ``uploaded``, ``near``, ``absent``, ``generic``."""
    bearers: frozenset[str]
    """SHA256 of every file that has or had this name; several make it ambiguous, none absent."""
    models: frozenset[int]
    """The models of the bearers."""

    @property
    def group(self) -> str:
        """``unique``, ``ambiguous``, ``absent``; ``generic`` for names that say nothing, whoever bears them."""
        if _key(self.name).partition(".")[0] in _GENERIC_STEMS or _key(self.name) in _GENERIC:
            return "generic"
        return "absent" if not self.bearers else "unique" if len(self.bearers) == 1 else "ambiguous"


@define
class Neighbourhood:
    """The models of a seed, published on a stand-in."""

    service: CivitaiStandIn
    folders: dict[int, str]
    """Model → the folder key that its files belong to."""
    _bearers: dict[tuple[str, str], dict[str, int]]

    def lookups(self, count: int, seed: int = 2) -> list[Lookup]:
        """Draw names as workflows carry them: of files that exist, of others that nearly do, of none."""
        dice = random.Random(seed)
        models = list(self.service.catalogue.models.values())
        drawn: list[Lookup] = []
        while len(drawn) < count:
            model = dice.choice(models)
            version = dice.choice(model.versions)
            file = dice.choice(version.files)
            folder = "vae" if file.type == "VAE" else self.folders[model.id]
            kind = dice.choices(["printed", "composed", "uploaded", "near", "absent", "generic"], [8, 4, 6, 3, 2, 0.5])[
                0
            ]
            name = self._name(kind, model, version, file, dice)
            if not re.search(_ASKED_FOR, name):
                continue
            if dice.random() < 0.1:
                name = f"{dice.choice(['sdxl', 'mine', 'styles'])}/{name}"
            drawn.append(self._lookup(name, folder, kind))
        return drawn

    def ambiguous_lookups(self, count: int, seed: int = 2) -> list[Lookup]:
        """Draw names that files of different bytes bear, each in every spelling."""
        found: dict[tuple[str, str], Lookup] = {}
        for model in self.service.catalogue.models.values():
            for version, file in _files(model):
                folder = "vae" if file.type == "VAE" else self.folders[model.id]
                for name in _names(model, version, file):
                    lookup = self._lookup(name, folder, "ambiguous")
                    if lookup.group == "ambiguous" and re.search(_ASKED_FOR, name):
                        found[folder, name] = lookup
        names = sorted(found)
        random.Random(seed).shuffle(names)
        return [found[name] for name in names[:count]]

    def _name(self, kind: str, model: Model, version: Version, file: File, dice: random.Random) -> str:
        if kind == "printed":
            return printed_name(model, version, file)
        if kind == "composed":
            return printed_name(model, version, file, rule="v1")
        if kind == "uploaded":
            return file.name
        if kind == "generic":
            return dice.choice(_GENERIC)
        name = printed_name(model, version, file, rule=dice.choice(["v1", "v2"]))
        if kind == "near":
            return _nearly(name, dice)
        stem, _, suffix = name.rpartition(".")
        return f"{dice.choice(_RARE)}{dice.choice(_LOOKS).title()}_{dice.randrange(90)}_{stem[-3:]}.{suffix}"

    def _lookup(self, name: str, folder: str, kind: str) -> Lookup:
        bearers = self._bearers.get((folder, _key(name)), {})
        return Lookup(
            name=name, folder=folder, kind=kind, bearers=frozenset(bearers), models=frozenset(bearers.values())
        )


def settle(service: CivitaiStandIn, count: int = 5000, seed: int = 1) -> Neighbourhood:
    """Publish *count* look-alike models on *service*."""
    dice = random.Random(seed)
    folders: dict[int, str] = {}
    bearers: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    made: list[Model] = []
    for _ in range(count):
        kind, folder = dice.choice(_TYPES)
        twin = dice.choice(made) if made and dice.random() < 0.08 else None
        model = _model(dice, kind, twin if twin is not None and twin.type == kind else None)
        published = service.add_model(
            name=model.name, type=model.type, versions=model.versions, likes=model.likes, creator=model.creator,
            nsfw_level=model.nsfw_level, minor=model.minor,
        )  # fmt: skip
        made.append(published)
        folders[published.id] = folder
        for version, file in _files(published):
            sha256 = file.all_hashes().get("SHA256", "").lower() or f"unhashed {file.id}"
            where = "vae" if file.type == "VAE" else folder
            for name in _names(published, version, file):
                bearers[where, _key(name)][sha256] = published.id
    return Neighbourhood(service, folders, dict(bearers))


def _files(model: Model) -> Iterator[tuple[Version, File]]:
    for version in model.versions:
        for file in version.files:
            if file.public:
                yield version, file


def _names(model: Model, version: Version, file: File) -> set[str]:
    return {
        file.name,
        printed_name(model, version, file),
        printed_name(model, version, file, rule="v1"),
        printed_name(model, version, file, honour_override=False),
        printed_name(model, version, file, rule="v1", honour_override=False),
    }


def _key(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def _model(dice: random.Random, kind: str, twin: Model | None) -> Model:
    words, family = _words(dice, kind), dice.choice(list(_FAMILIES))
    title = _title(dice, words, kind, family)
    triggers = _triggers(dice, words, kind)
    if twin is not None:  # somebody else's copy, or a re-upload under nearly the same title
        title = twin.name if dice.random() < 0.5 else f"{twin.name} {dice.choice(['v2', 'fork', 'backup', '(fixed)'])}"
        words = re.findall(r"[A-Za-z]+", twin.name.lower()) or words
    versions: list[Version] = []
    for number in range(1, dice.choice([2, 2, 2, 3, 3, 4, 6])):
        label = _label(dice, number, title, family)
        versions.insert(0, _version(dice, kind, words, label, number, family, triggers))
    if twin is not None and dice.random() < 0.5:  # the same bytes, published again
        source = twin.versions[0].files[0]
        copy = versions[0].files[0]
        copy.hashes, copy.name, copy.size = source.all_hashes(), source.name, source.byte_count
    return Model(
        title,
        kind,
        versions,
        creator=f"{dice.choice(_LOOKS)}{dice.choice(_THINGS)}{dice.randrange(99)}",
        likes=int(dice.paretovariate(0.8)) % 100_000,
        nsfw_level=dice.choice([1, 1, 1, 1, 3, 4, 13, 28]),
        minor=dice.random() < 0.02,
    )


def _words(dice: random.Random, kind: str) -> list[str]:
    words = [dice.choice(_LOOKS), dice.choice(_THINGS)]
    if dice.random() < 0.35:
        words.insert(1, dice.choice(_LOOKS + _THINGS))
    if dice.random() < 0.25:
        words[0] = dice.choice(_RARE)
    if kind == "Upscaler":
        words.insert(0, dice.choice(["4x", "2x"]))
    return words


def _title(dice: random.Random, words: list[str], kind: str, family: str) -> str:
    form = dice.random()
    if form < 0.45:
        title = " ".join(word.title() for word in words)
    elif form < 0.7:
        title = "".join(word.title() for word in words)
    elif form < 0.8:
        title = words[0].title() + "-" + " ".join(words[1:])
    elif form < 0.9:
        title = "".join(words[:2]).title() + " " + " ".join(word.title() for word in words[2:])
    else:
        title = f"[{dice.choice(_RARE).title()}] " + " ".join(word.title() for word in words)
    if dice.random() < 0.3:
        title += f" {_FAMILIES[family][0]}"
    if kind in ("LORA", "LoCon") and dice.random() < 0.4:
        title += dice.choice([" LoRA", " Style", " - Concept", " | LoRA", " Style LoRA"])
    if dice.random() < 0.12:
        title += f" ({dice.choice(_ANNOTATIONS)})"
    odd = dice.random()
    if odd < 0.03:
        title = title.replace("e", "é", 1)
    elif odd < 0.05:
        title = f"{dice.choice(_ANNOTATIONS)} {title}"
    elif odd < 0.07:
        title = ".".join(word[0].upper() for word in words) + f". {words[-1].title()}"
    elif odd < 0.09:
        title = f"{title[0]}'{title[1:]}"
    elif odd < 0.12:
        title = f"{dice.choice(['The', 'A', 'My'])} {title} {dice.choice(['3D', '2.5D', 'V3', '90s'])}"
    return " ".join(title.split())


def _triggers(dice: random.Random, words: list[str], kind: str) -> list[str]:
    if kind == "TextualInversion":
        glue = dice.random()
        tag = (
            "".join(word.title() for word in words)
            if glue < 0.35
            else "".join(words)
            if glue < 0.6
            else "-".join(words)
        )
        if dice.random() < 0.35:
            tag = (
                "".join(word[0] for word in words)
                + dice.choice(["emb", "neg", "xx", "style"])
                + str(dice.randrange(99))
            )
        return [f"{tag}{dice.choice(['', '', 'V2', '_v1', '7500'])}"]
    if dice.random() < 0.5:
        return [" ".join(words), *dice.sample(_THINGS, 2)]
    return []


def _label(dice: random.Random, number: int, title: str, family: str) -> str:
    short = _FAMILIES[family][1]
    mood = dice.choice(["Lightning", "Turbo", "Final", "Beta", "Inpainting"])
    return dice.choice(
        [
            f"v{number}",
            f"v{number}.0",
            f"V{number}",
            f"{number}.{dice.randrange(10)}",
            f"v{number} {short}",
            f"{title} v{number}",
            f"{mood} v{number}",
            f"{short} v{number}.{dice.randrange(10)}",
        ]
    )


def _version(
    dice: random.Random, kind: str, words: list[str], label: str, number: int, family: str, triggers: list[str]
) -> Version:
    suffix = {"TextualInversion": dice.choice(["pt", "safetensors"]), "Upscaler": "pth"}.get(kind, "safetensors")
    variants: list[dict[str, str | None]] = [{"format": "SafeTensor", "fp": dice.choice(["fp16", None])}]
    if kind == "Checkpoint" and dice.random() < 0.35:
        variants = [
            {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
            {"format": "SafeTensor", "size": "full", "fp": "fp32"},
        ]
        if dice.random() < 0.3:
            variants.append({"format": "SafeTensor", "size": "pruned", "fp": "fp8"})
    files = []
    for variant in variants:
        name = _uploaded(dice, words, label, number, family, triggers, variant, kind)
        files.append(
            File(f"{name}.{suffix}", metadata=variant, override=_override(dice, words, suffix),
                 hashes={} if dice.random() < 0.005 else None)
        )  # fmt: skip
    if kind == "Checkpoint" and dice.random() < 0.1:
        files.append(File(f"{'_'.join(words)}.vae.{dice.choice(['pt', 'safetensors'])}", type="VAE"))
    if kind in ("LORA", "Checkpoint") and dice.random() < 0.05:
        files.append(File("training.zip", type="Training Data"))
    return Version(
        label, files, base_model=family, trained_words=list(triggers),
        published_at=f"202{dice.randrange(3, 7)}-0{dice.randrange(1, 9)}-1{dice.randrange(10)}T10:00:00.000Z",
    )  # fmt: skip


def _override(dice: random.Random, words: list[str], suffix: str) -> str | None:
    return f"{'-'.join(words)}-{dice.randrange(99)}.{suffix}" if dice.random() < 0.02 else None


def _uploaded(
    dice: random.Random,
    words: list[str],
    label: str,
    number: int,
    family: str,
    triggers: list[str],
    variant: dict[str, str | None],
    kind: str,
) -> str:
    """The name that the maker gave: mostly out of the title's words, sometimes out of nowhere."""
    form = dice.random()
    if kind == "TextualInversion" and form < 0.8:
        return triggers[0]
    if form < 0.004:
        return dice.choice(sorted(_GENERIC_STEMS))
    if form < 0.30:
        stem = "_".join(words)
    elif form < 0.5:
        stem = "".join(word.title() for word in words)
    elif form < 0.6:
        stem = "-".join(words)
    elif form < 0.68:
        stem = "".join(words)
    elif form < 0.74:
        stem = "_".join(reversed(words))
    elif form < 0.80:
        stem = f"{dice.choice(['SDXL', 'lora', 'my', 'xl', 'IL', 'pony'])}_{'_'.join(words)}"
    elif form < 0.86:
        stem = f"{words[-1]}_{dice.choice(_THINGS)}"
    elif form < 0.9 and triggers:
        stem = triggers[0].replace(" ", dice.choice(["_", ""]))
    else:
        stem = "".join(word[0] for word in words) + dice.choice(["style", "art", "xx"]) + str(dice.randrange(100))
    tail = dice.random()
    if tail < 0.45:
        stem += dice.choice([f"_v{number}", f"V{number}", f"-v{number}.0", f"_{number}", f"_v{number}0"])
    elif tail < 0.6:
        stem += f"_{_FAMILIES[family][2].replace('.', '')}_v{number}"
    elif tail < 0.7:
        stem += f"-0000{dice.randrange(10, 30)}"
    if kind == "Checkpoint":
        stem += dice.choice(["", "", f"_{variant.get('fp') or 'fp16'}", f"-{variant.get('size') or 'pruned'}"])
    return stem


def _nearly(name: str, dice: random.Random) -> str:
    """Another version, another precision, another word: a file that does not exist, or is another one."""
    stem, _, suffix = name.rpartition(".")
    if found := re.search(r"\d", stem):
        digit = str((int(found.group()) + dice.randrange(1, 9)) % 10)
        return f"{stem[: found.start()]}{digit}{stem[found.end() :]}.{suffix}"
    return f"{stem}{dice.choice(['_v9', '_fp8', 'XL', '_inpainting', '_pruned'])}.{suffix}"
