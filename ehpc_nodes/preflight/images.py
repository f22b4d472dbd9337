"""What is known of an image: its system and version, however a list spells them."""

from __future__ import annotations

from dataclasses import dataclass

from ehpc_nodes.api import responses


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image; an empty value is not known. `os_tag` is E-HPC's name of the operating system."""

    family: str
    version: str
    architecture: str
    status: str = "Available"
    os_tag: str = ""


def image_facts(image: responses.SystemImage | responses.CustomImage) -> ImageFacts:
    """The facts that a list has about an image."""
    if isinstance(image, responses.SystemImage):
        system = system_of(image.platform, image.version, image.os_tag)
        return ImageFacts(*system, image.architecture, os_tag=image.os_tag)
    tag, base = image.os_tag, image.base_os_tag
    family, version = system_of(tag.platform, tag.version, tag.os_tag)
    base_family, base_version = system_of(base.platform, base.version, base.os_tag)
    return ImageFacts(
        family or base_family,
        version or base_version,
        tag.architecture or base.architecture,
        image.status or "Available",
        tag.os_tag or base.os_tag,
    )


#: Other names of a family: ECS writes Aliyun for E-HPC's AliyunLinux and AlibabaCloudLinux.
_FAMILIES = {"alibabacloud": "aliyun"}


def system_of(platform: str, version: str, tag: str) -> tuple[str, str]:
    """Family and version, lower case: from a tag such as ``CentOS_7.6_64``, else from the fields.

    Tags and fields spell one family in several ways, such as Red Hat and RedHat, or Aliyun and AliyunLinux. So
    upper case, blanks and "Linux" at the end are ignored.
    """
    parts = tag.split("_")
    numbers = [n for n, part in enumerate(parts) if part[:1].isdigit()]
    words = parts[: numbers[0]] if numbers else parts
    tagged = parts[numbers[0]] if len(numbers) > 1 else ""  # a single one is the number of bits
    return _family("".join(words)) or _family(platform), tagged or version


def _family(name: str) -> str:
    family = "".join(name.lower().split())
    family = family.removesuffix("linux") or family
    return "windows" if family.startswith("win") else _FAMILIES.get(family, family)
