"""What users paste and workflows hold, read as ids."""

from __future__ import annotations

import pytest
from comfywatchman_civitai.references import Reference, is_catalogue_link, read_reference

from comfywatchman_core import BackendError

BASE = "https://civitai.com"


@pytest.mark.parametrize(
    ("text", "model", "version", "file"),
    [
        # AIR, in full and with every part left out that may be
        ("urn:air:sdxl:checkpoint:civitai:827184@2514310", 827184, 2514310, None),
        ("air:sd1:lora:civitai:1@2.safetensors", 1, 2, None),
        ("sd1:lora:civitai:1@2", 1, 2, None),
        ("urn:air:flux1:lora:civitai:12", 12, None, None),
        ("urn:air:anima:diffusionmodel:civitai:123@456+789", 123, 456, 789),
        ("urn:air:sdxl:embedding:CIVITAI:5@6+7.safetensors", 5, 6, 7),
        # the short form
        ("civitai:4384", 4384, None, None),
        ("civitai:4384@128713", 4384, 128713, None),
        ("civitai:4384@128713+94", 4384, 128713, 94),
        ("Civitai:4384", 4384, None, None),
        # pages and addresses, on every host
        ("https://civitai.com/models/618692/flux?modelVersionId=691639", 618692, 691639, None),
        ("https://civitai.com/models/618692?version=691639", 618692, 691639, None),
        ("https://civitai.red/models/5", 5, None, None),
        ("http://www.civitai.green/models/5/", 5, None, None),
        ("https://civitai.com/model-versions/691639", None, 691639, None),
        ("https://civitai.com/api/download/models/691639", None, 691639, None),
        ("https://civitai.com/api/download/models/3155593?fileId=3036509&token=x", None, 3155593, 3036509),
        ("https://civitai.com/api/v1/model-versions/12", None, 12, None),
        ("https://civitai.com/api/v1/model-versions/mini/12", None, 12, None),
        ("https://civitai.com/api/v1/models/12", 12, None, None),
        ("HTTPS://CIVITAI.COM/models/12", 12, None, None),
        ("https://civitai.com:443/models/12#gallery", 12, None, None),
        ("  https://civitai.com./models/12  ", 12, None, None),
    ],
)
def test_every_form_is_read(text: str, model: int | None, version: int | None, file: int | None) -> None:
    read = read_reference(text, BASE)

    assert read is not None
    assert (read.model, read.version, read.file) == (model, version, file)


@pytest.mark.parametrize(
    "text",
    [
        "urn:air:sdxl:checkpoint:huggingface:owner/repo@main",  # another source
        "urn:air:sdxl:checkpoint:civitai:seven",
        "hf:owner/repo/file.safetensors",
        "loras/ink.safetensors",
        "civitai:",
        "civitai:0",
        "civitai:99999999999",  # larger than any id
        "https://civitai.com/user/maker",
        "https://civitai.com/models/",
        "https://civitai.com/models/٣",  # a digit, but not one of theirs
        "https://b2.civitai.com/file/civitai-modelfiles/x.safetensors?Authorization=3_x",  # an expiring file link
        "https://civitai.com.evil.example/models/5",
        "https://evil.example/civitai.com/models/5",
        "https://civitai.com@evil.example/models/5",
        "https://civitai.com:8443/models/5",
        "https://civitai.com:port/models/5",
        "https://[civitai.com/models/5",
        "ftp://civitai.com/models/5",
        "",
    ],
)
def test_what_names_something_else_is_none_of_it(text: str) -> None:
    assert read_reference(text, BASE) is None


def test_a_bare_number_is_refused_and_both_readings_are_named() -> None:
    with pytest.raises(BackendError) as refused:
        read_reference("128713", BASE)

    assert refused.value.code == "ambiguous"
    assert "civitai:128713" in (refused.value.hint or "")
    assert "https://civitai.com/model-versions/128713" in (refused.value.hint or "")


def test_a_token_in_a_pasted_link_goes_nowhere() -> None:
    read = read_reference("https://civitai.com/api/download/models/7?token=5ecre7&type=Model&format=SafeTensor", BASE)

    assert read == Reference(version=7, wishes={"type": "Model", "format": "SafeTensor"})
    assert "5ecre7" not in repr(read)


def test_links_below_the_configured_address_count_as_well() -> None:
    assert read_reference("http://127.0.0.1:81/mirror/models/5", "http://127.0.0.1:81/mirror") == Reference(model=5)
    assert read_reference("http://127.0.0.1:82/mirror/models/5", "http://127.0.0.1:81/mirror") is None
    assert read_reference("http://127.0.0.1:81/mirrored/models/5", "http://127.0.0.1:81/mirror") is None


def test_only_catalogue_links_are_catalogue_links() -> None:
    assert is_catalogue_link("https://civitai.red/articles/7", BASE)
    assert not is_catalogue_link("https://b2.civitai.com/file/x.safetensors", BASE)
    assert not is_catalogue_link("no address", BASE)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Reference(model=1), "civitai:1"),
        (Reference(model=1, version=2, file=3), "civitai:1@2+3"),
        (Reference(version=2), "version 2"),
    ],
)
def test_a_reference_is_shown_as_it_is_typed(reference: Reference, text: str) -> None:
    assert str(reference) == text
