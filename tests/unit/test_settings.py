"""Where region, endpoints and credentials come from, and in which order."""

import json
import logging
import socket
import traceback

import pytest
from alibabacloud_ecs20140526.client import Client as OfficialEcs
from alibabacloud_tea_openapi.models import Config as OfficialConfig

from ehpc_nodes.api import settings
from ehpc_nodes.api.signing import Credentials
from ehpc_nodes.errors import ConfigError


def resolved(config=None, environ=None, **kwargs):
    return settings.resolve((config or {"ehpc:region": "cn-x"}).get, environ or {}, **kwargs)


REGIONS = [
    (
        {"ehpc:region": "cn-a", "alicloud:region": "cn-b"},
        {"ALIBABA_CLOUD_REGION_ID": "cn-c"},
        "cn-a",
    ),
    ({"alicloud:region": "cn-b"}, {"ALIBABA_CLOUD_REGION_ID": "cn-c"}, "cn-b"),
    ({}, {"ALIBABA_CLOUD_REGION_ID": "cn-c", "ALICLOUD_REGION": "cn-d"}, "cn-c"),
    ({}, {"ALIBABA_CLOUD_REGION": "cn-c"}, "cn-c"),
    ({}, {"ALIBABACLOUD_REGION_ID": "cn-c"}, "cn-c"),
    ({}, {"ALICLOUD_REGION": "cn-d"}, "cn-d"),
    ({}, {"ALICLOUD_REGION_ID": "cn-d"}, "cn-d"),
]


@pytest.mark.parametrize(("config", "environ", "region"), REGIONS)
def test_region_order(config, environ, region):
    assert settings.resolve_region(config.get, environ) == region


def test_the_resources_own_region_goes_first():
    assert resolved({"ehpc:region": "cn-a"}, region="cn-own").region == "cn-own"


def test_no_region_says_where_to_set_it():
    with pytest.raises(ConfigError) as caught:
        settings.resolve_region(lambda _: None, {})
    assert str(caught.value) == (
        "No region is set. Run: pulumi config set ehpc:region cn-hangzhou (or set"
        " ALIBABA_CLOUD_REGION_ID, or the region argument)."
    )


@pytest.mark.parametrize("region", ["evil.example/x", "-", "cn-", "cn--x", "cn x", "c" * 64])
def test_a_region_that_is_none_is_refused(region):
    with pytest.raises(ConfigError, match="is not a region"):
        settings.resolve_region({"ehpc:region": region}.get, {})


EHPC_REGIONS = [
    *("cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-zhangjiakou"),
    *("cn-huhehaote", "cn-wulanchabu", "cn-qingdao", "cn-chengdu", "cn-guangzhou"),
    *("cn-heyuan", "cn-hongkong", "cn-wuhan-lr", "ap-southeast-1", "ap-southeast-5"),
    *("ap-northeast-1", "eu-central-1", "me-east-1", "cn-north-2-gov-1"),
    *("cn-shanghai-finance-1", "cn-shenzhen-finance-1", "cn-hangzhou-finance"),
]


@pytest.mark.parametrize("region", EHPC_REGIONS)
def test_endpoints_are_the_official_ones(region):
    found = resolved({}, region=region)
    assert found.ehpc_endpoint == f"https://ehpc.{region}.aliyuncs.com"
    official = OfficialEcs(
        OfficialConfig(access_key_id="fake", access_key_secret="fake", region_id=region)
    )
    assert found.ecs_endpoint == f"https://{official._endpoint}"


@pytest.mark.parametrize("key", ["ehpc:endpoint", "ehpc:ecsEndpoint"])
@pytest.mark.parametrize(
    "value", ["http://ehpc.example", "http://127.0.0.1.example", "http://localhost.example:80"]
)
def test_plain_http_is_refused_off_loopback(key, value):
    with pytest.raises(ConfigError, match="plain http is allowed for a loopback address only"):
        resolved({key: value}, region="cn-x")


@pytest.mark.parametrize("name", ["ehpc:ecsEndpoint", "ALIBABA_CLOUD_EHPC_ENDPOINT"])
@pytest.mark.parametrize("value", ["http://[::1", "https://a..b", "https://x:99999", "https://x y"])
def test_an_endpoint_of_another_form_is_refused_at_once(name, value):
    with pytest.raises(ConfigError) as caught:
        settings.resolve({name: value}.get, {name: value}, region="cn-x")
    assert str(caught.value).startswith(f"{name} is {value!r}; it must be a host name or https://")


KEYS = [
    (
        {
            "ehpc:accessKeyId": "a",
            "ehpc:accessKeySecret": "b",
            "ehpc:securityToken": "t",
            "alicloud:accessKey": "c",
            "alicloud:secretKey": "d",
        },
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": "e", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "f"},
        Credentials("a", "b", "t"),
    ),
    (
        {"alicloud:accessKey": "c", "alicloud:secretKey": "d", "alicloud:securityToken": "t"},
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": "e", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "f"},
        Credentials("c", "d", "t"),
    ),
    *(
        ({}, dict(zip(names, ("e", "f", "t"), strict=True)), Credentials("e", "f", "t"))
        for names in settings.KEY_VARIABLES
    ),
]


@pytest.mark.parametrize(("config", "environ", "key"), KEYS)
def test_credentials_order(config, environ, key):
    assert resolved(config, environ, region="cn-x").credentials() == key


def test_half_a_key_names_the_other_half():
    with pytest.raises(ConfigError) as caught:
        resolved({"ehpc:accessKeyId": "a"}, region="cn-x")
    assert (
        str(caught.value) == "ehpc:accessKeyId is set, but ehpc:accessKeySecret is not: set both."
    )


#: No header holds these, and no key; SECRET is what must not be told.
UNSENDABLE = [
    "SECRET…",
    "SECRET\nmore",
    "SECRET more",
    "SECRET\tmore",
    "SECRET\x7f",
    "SECRET\r\nX: y",
]
NAMES = ("ehpc:accessKeyId", "ehpc:accessKeySecret", "ehpc:securityToken")


@pytest.mark.parametrize("value", UNSENDABLE)
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("names", [NAMES, settings.KEY_VARIABLES[0]])
def test_keys_that_cannot_be_sent_are_refused_without_being_told(names, number, value):
    given = dict(zip(names, ("a", "b", "c"), strict=True)) | {names[number]: value}
    with pytest.raises(ConfigError) as caught:
        settings.resolve(given.get, given, region="cn-x")
    assert str(caught.value) == (
        f"{names[number]} has a blank, a line break or a character that is not ASCII. Set it again, exactly"
        " as Alibaba Cloud showed it."
    )


def test_blanks_around_a_key_are_left_off():
    given = dict(zip(NAMES, ("a\n", " b", "c\r\n"), strict=True))
    assert resolved(given, region="cn-x").credentials() == Credentials("a", "b", "c")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home for the official library, which is on no ECS instance; it reads its variables when it is imported."""
    monkeypatch.setattr("alibabacloud_credentials.utils.auth_constant.HOME", str(tmp_path))
    utils = "alibabacloud_credentials.utils.auth_util"
    monkeypatch.setattr(f"{utils}.environment_ecs_metadata_disabled", "true")
    (tmp_path / ".aliyun").mkdir()
    return tmp_path


@pytest.fixture
def profile(tmp_path):
    """Writes the profile that the official library reads."""

    def written(**parts):
        path = tmp_path / ".aliyun" / "config.json"
        entry = {"name": "work", "mode": "StsToken", **parts}
        path.write_text(json.dumps({"current": "work", "profiles": [entry]}))

    return written


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("access_key_id", "access key id"),
        ("access_key_secret", "access key secret"),
        ("sts_token", "security token"),
    ],
)
@pytest.mark.parametrize(
    ("config", "source"),
    [
        (
            {"ehpc:profile": "work"},
            "profile 'work' (ehpc:profile) in ~/.aliyun/config.json",
        ),
        ({}, "~/.aliyun/config.json"),
    ],
)
def test_keys_of_a_profile_are_looked_at_too(profile, config, source, part, told):
    profile(**{"access_key_id": "a", "access_key_secret": "b", "sts_token": "c", part: "SECRET…"})
    with pytest.raises(ConfigError) as caught:
        settings.resolve(config.get, {}, region="cn-x").credentials()
    assert str(caught.value).startswith(f"The {told} ({source}) has a blank, ")
    assert "SECRET" not in str(caught.value)


def test_blanks_around_a_key_of_a_profile_are_left_off(profile):
    profile(access_key_id="a", access_key_secret="b\n", sts_token="c ")
    found = resolved({"ehpc:profile": "work"}, region="cn-x")
    assert found.credentials() == Credentials("a", "b", "c")


def test_no_credentials_at_all_say_what_to_do():
    get = resolved({}, region="cn-x").credentials
    with pytest.raises(ConfigError, match="Set ALIBABA_CLOUD_ACCESS_KEY_ID and"):
        get()


def test_a_proxys_password_is_not_told_by_the_library_either(profile, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, logger="ehpc_nodes")
    role = {"ram_role_arn": "acs:ram::1:role/x", "ram_session_name": "s"}
    profile(mode="RamRoleArn", access_key_id="a", access_key_secret="b", **role)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://hunter2:12#34@127.0.0.1:1")

    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match="No access key from profile 'work'") as caught:
        resolved({"ehpc:profile": "work"}, region="cn-x").credentials()
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown + caplog.text


@pytest.mark.parametrize(
    ("more", "ini"),
    [
        ({}, "~/.alibabacloud/credentials.ini"),
        ({"ALIBABA_CLOUD_CREDENTIALS_FILE": "/own.ini"}, "/own.ini"),
    ],
)
def test_a_profile_of_the_default_chain_is_named_too(more, ini):
    get = resolved({}, {"ALIBABA_CLOUD_PROFILE": "nobody", **more}, region="cn-x").credentials
    with pytest.raises(ConfigError) as caught:
        get()
    for file in ("~/.aliyun/config.json", ini):
        assert f"- {file}, profile 'nobody' (ALIBABA_CLOUD_PROFILE): the file" in str(caught.value)


@pytest.mark.parametrize("value", ["-1", "0", "abc", "99999"])
def test_seconds_have_to_be_some(value):
    with pytest.raises(ConfigError, match="ehpc:graceSeconds"):
        resolved({"ehpc:graceSeconds": value}, region="cn-x")


def test_repr_of_the_settings_shows_no_secret():
    found = resolved({"ehpc:accessKeyId": "a", "ehpc:accessKeySecret": "the-secret"}, region="cn-x")
    assert "the-secret" not in repr(found)


def test_endpoints_of_the_environment_come_after_the_stack_config_s():
    environ = {
        "ALIBABA_CLOUD_EHPC_ENDPOINT": "http://127.0.0.1:1",
        "ALIBABA_CLOUD_ECS_ENDPOINT": "http://127.0.0.1:2",
    }
    found = resolved({"ehpc:ecsEndpoint": "http://127.0.0.1:3"}, environ, region="cn-x")
    assert (found.ehpc_endpoint, found.ehpc_endpoint_source) == (
        "http://127.0.0.1:1",
        "ALIBABA_CLOUD_EHPC_ENDPOINT",
    )
    assert (found.ecs_endpoint, found.ecs_endpoint_source) == (
        "http://127.0.0.1:3",
        "ehpc:ecsEndpoint",
    )
    assert resolved({}, region="cn-x").ehpc_endpoint_source == ""
    with pytest.raises(ConfigError, match=r"ALIBABA_CLOUD_EHPC_ENDPOINT is 'http://evil\.example'"):
        resolved({}, {"ALIBABA_CLOUD_EHPC_ENDPOINT": "http://evil.example"}, region="cn-x")


def test_it_is_told_where_region_and_credentials_come_from():
    environ = {"ALICLOUD_REGION": "cn-x", "ALICLOUD_ACCESS_KEY": "a", "ALICLOUD_SECRET_KEY": "b"}
    found = settings.resolve(lambda _: None, environ)
    assert (found.region_source, found.credentials_source) == (
        "ALICLOUD_REGION",
        "ALICLOUD_ACCESS_KEY",
    )
    found = resolved({"ehpc:region": "cn-y", "alicloud:profile": "work"}, environ)
    assert found.region_source == "ehpc:region"
    assert found.credentials_source == "profile 'work' (alicloud:profile) in ~/.aliyun/config.json"
    assert settings.resolve(lambda _: None, {}, region="cn-z").credentials_source == "default chain"


#: Blanks and line ends as files, shells and Windows leave them.
AROUND = [" {}", "{}\n", "{}\r\n", "\t{}\r"]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", ["ehpc:region", "alicloud:region", *settings.REGION_VARIABLES])
def test_blanks_around_a_region_are_left_off_wherever_it_is_set(name, around):
    given = {name: around.format("cn-x")}
    assert settings.resolve_region(given.get, given) == "cn-x"
    assert resolved({}, region=around.format("cn-y")).region == "cn-y"


@pytest.mark.parametrize("around", AROUND)
def test_blanks_around_any_other_setting_are_left_off(around):
    texts = {
        "ehpc:endpoint": "ehpc.example",
        "ehpc:graceSeconds": "3",
        "ehpc:schedulerSeconds": "7",
        "ALIBABA_CLOUD_ECS_ENDPOINT": "ecs.example",
        "alicloud:profile": "work",
    }
    given = {name: around.format(text) for name, text in texts.items()}
    found = settings.resolve(given.get, given, region="cn-x")
    assert (found.ehpc_endpoint, found.ecs_endpoint) == (
        "https://ehpc.example",
        "https://ecs.example",
    )
    assert (found.grace_seconds, found.scheduler_seconds) == (3.0, 7.0)
    assert found.credentials_source.startswith("profile 'work' ")


def test_a_blank_variable_counts_as_not_set():
    environ = {"ALIBABA_CLOUD_REGION_ID": " ", "ALICLOUD_REGION": "cn-x", "ALICLOUD_PROFILE": "\n"}
    found = settings.resolve(lambda _: None, environ)
    assert (found.region, found.credentials_source) == ("cn-x", "default chain")
