"""Where region, endpoints and credentials come from, and in which order."""

import pytest
from alibabacloud_ecs20140526.client import Client as OfficialEcs
from alibabacloud_tea_openapi.models import Config as OfficialConfig

from ehpc_nodes import settings
from ehpc_nodes.errors import ConfigError
from ehpc_nodes.signing import Credentials


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


def test_a_region_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="has not the form of one"):
        settings.resolve_region({"ehpc:region": "evil.example/x"}.get, {})


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


@pytest.mark.parametrize(
    ("value", "endpoint"),
    [
        ("ehpc-vpc.cn-x.aliyuncs.com", "https://ehpc-vpc.cn-x.aliyuncs.com"),
        ("https://proxy.example:8443/", "https://proxy.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_endpoint_forms(value, endpoint):
    assert resolved({"ehpc:endpoint": value}, region="cn-x").ehpc_endpoint == endpoint


@pytest.mark.parametrize("key", ["ehpc:endpoint", "ehpc:ecsEndpoint"])
@pytest.mark.parametrize(
    "value", ["http://ehpc.example", "http://127.0.0.1.example", "http://localhost.example:80"]
)
def test_plain_http_is_refused_off_loopback(key, value):
    with pytest.raises(ConfigError, match="plain http is allowed for a loopback address only"):
        resolved({key: value}, region="cn-x")


@pytest.mark.parametrize("value", ["ftp://x", "https://x/path", "https://", "https://x?y=1"])
def test_endpoints_of_other_forms_are_refused(value):
    with pytest.raises(ConfigError, match="has to be a host name or https://host"):
        resolved({"ehpc:endpoint": value}, region="cn-x")


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


def test_no_credentials_at_all_say_what_to_do():
    get = resolved({}, region="cn-x").credentials
    with pytest.raises(ConfigError, match="Set ALIBABA_CLOUD_ACCESS_KEY_ID and"):
        get()


def test_an_unknown_profile_is_named():
    get = resolved({"ehpc:profile": "nobody"}, region="cn-x").credentials
    with pytest.raises(ConfigError) as caught:
        get()
    told = "No usable profile 'nobody' (ehpc:profile) in ~/.aliyun/config.json: "
    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith("or run: aliyun configure.")


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
    assert str(caught.value).startswith(
        f"No usable profile 'nobody' (ALIBABA_CLOUD_PROFILE) in ~/.aliyun/config.json or {ini},"
        " and no other credentials. Set ALIBABA_CLOUD_ACCESS_KEY_ID and "
    )


def test_ownership_tags_can_be_turned_off():
    assert resolved().ownership_tags
    assert not resolved({"ehpc:ownershipTags": "false"}, region="cn-x").ownership_tags
    with pytest.raises(ConfigError, match="has to be true or false"):
        resolved({"ehpc:ownershipTags": "maybe"}, region="cn-x")


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
    assert found.ehpc_endpoint == "http://127.0.0.1:1"
    assert found.ecs_endpoint == "http://127.0.0.1:3"
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
    assert found.credentials_source == "profile 'work' (alicloud:profile)"
    assert settings.resolve(lambda _: None, {}, region="cn-z").credentials_source == "default chain"
