"""Whose key is used, with the settings of Pulumi's alicloud provider too; and why there is none, in one line each."""

import json
import logging
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from alibabacloud_credentials.provider import CLIProfileCredentialsProvider
from alibabacloud_credentials.utils import auth_util
from Tea.core import TeaCore

from ehpc_nodes.api import settings
from ehpc_nodes.api.signing import Credentials
from ehpc_nodes.errors import ConfigError, NoCredentialsError
from unit.test_settings import home  # noqa: F401 - a fixture that is used by itself

KEY = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "base-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "base-secret"}
ARN = "acs:ram::2:role/deploy"
ROLE = {"alicloud:assumeRole": json.dumps({"roleArn": ARN})}
GIVEN_OUT = {
    "AccessKeyId": "role-id",
    "AccessKeySecret": "role-secret",
    "SecurityToken": "role-token",
    "Expiration": "2099-01-01T00:00:00Z",
}
ASSUMED = Credentials("role-id", "role-secret", "role-token")


def key(config=None, environ=None):
    return settings.resolve((config or {}).get, environ or {}, region="cn-x").credentials()


def refused(config=None, environ=None, kind=ConfigError):
    with pytest.raises(kind) as caught:
        key(config, environ)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.fixture
def cli_file(home):  # noqa: F811
    """Writes the command line tool's file: profiles by name, each with its name as the key."""

    def written(*names, file=home / ".aliyun" / "config.json", encoding="utf-8", **more):
        profiles = [
            {"name": n, "mode": "AK", "access_key_id": n, "access_key_secret": "s"} for n in names
        ]
        content = {"current": names[0] if names else "", "profiles": profiles, **more}
        file.write_bytes(json.dumps(content).encode(encoding))
        return file

    return written


@pytest.fixture
def sts(monkeypatch):
    """The service that gives roles' keys out: what it was asked, and what it answers."""
    it = SimpleNamespace(asked=[], status=200, body=json.dumps({"Credentials": GIVEN_OUT}))

    def do_action(request, _options=None):
        it.asked.append(request.query)
        if isinstance(it.body, Exception):
            raise it.body
        return SimpleNamespace(status_code=it.status, body=it.body.encode())

    monkeypatch.setattr(TeaCore, "do_action", do_action)
    return it


# -- whose key -------------------------------------------------------------------------------------


def test_a_shared_credentials_file_is_the_one_that_is_read(cli_file, tmp_path):
    cli_file("another")
    team = cli_file("team", file=tmp_path / "team.json")
    for file in ({"alicloud:sharedCredentialsFile": str(team)}, {}):
        config = {"alicloud:profile": "team", **file}
        environ = {} if file else {"ALICLOUD_SHARED_CREDENTIALS_FILE": str(team)}
        assert key(config, environ).access_key_id == "team"
    for name in ("ALICLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE"):
        environ = {"ALICLOUD_SHARED_CREDENTIALS_FILE": str(team), name: "team"}
        assert key({}, environ).access_key_id == "team"
        config = {"alicloud:sharedCredentialsFile": str(team)}
        assert key(config, {**KEY, name: "team"}).access_key_id == "team"


def test_a_shared_credentials_file_without_a_profile_is_refused_by_name(cli_file, tmp_path):
    team = str(cli_file("team", file=tmp_path / "team.json"))
    cli_file("another")
    assert refused({"alicloud:sharedCredentialsFile": team}, KEY) == (
        "alicloud:sharedCredentialsFile is set, but alicloud:profile is not: set both."
    )
    assert refused({}, {"ALICLOUD_SHARED_CREDENTIALS_FILE": team}).endswith(
        "but ALICLOUD_PROFILE is not: set both."
    )


def test_a_file_that_is_not_there_is_no_reason_to_take_another(cli_file):
    cli_file("team")
    config = {"alicloud:profile": "team", "alicloud:sharedCredentialsFile": "/nowhere/team.json"}
    text = refused(config, KEY)
    assert text.startswith(
        "No access key from profile 'team' (alicloud:profile) in /nowhere/team.json: the file does not exist."
    )
    assert text.endswith("or run: aliyun configure.")


@pytest.mark.parametrize(
    ("config", "environ", "base"),
    [
        (ROLE, KEY, "base-id"),
        ({**ROLE, "alicloud:accessKey": "a", "alicloud:secretKey": "b"}, KEY, "a"),
        ({**ROLE, "alicloud:profile": "work"}, KEY, "work"),
        (ROLE, {"ALICLOUD_PROFILE": "work"}, "work"),
        (ROLE, {}, "work"),
        ({}, {**KEY, "ALICLOUD_ASSUME_ROLE_ARN": ARN}, "base-id"),
        ({"alicloud:assumeRole": "{}"}, {**KEY, "ALICLOUD_ASSUME_ROLE_ARN": ARN}, "base-id"),
        ({"alicloud:assumeRole": {"roleArn": ARN}}, KEY, "base-id"),
    ],
)
def test_the_role_of_alicloud_s_settings_is_assumed_with_whatever_key(
    cli_file, sts, config, environ, base
):
    cli_file("work")
    assert key(config, environ) == ASSUMED
    ((asked,),) = [sts.asked]
    assert (asked["Action"], asked["RoleArn"]) == ("AssumeRole", ARN)
    assert (asked["AccessKeyId"], asked["RoleSessionName"]) == (base, "ehpc-nodes")


def test_all_that_a_role_has_is_handed_on(sts):
    role = {
        "roleArn": ARN,
        "sessionName": "ci",
        "sessionExpiration": 900,
        "policy": "{}",
        "externalId": "x-1",
    }
    config = {
        "alicloud:assumeRole": json.dumps(role),
        "alicloud:accessKey": "a",
        "alicloud:secretKey": "b",
        "alicloud:securityToken": "t",
    }
    assert key(config) == ASSUMED
    asked = sts.asked[0]
    names = ("RoleSessionName", "DurationSeconds", "Policy", "ExternalId", "SecurityToken")
    assert [asked[name] for name in names] == ["ci", "900", "{}", "x-1", "t"]


@pytest.mark.parametrize(
    "own",
    [{"ehpc:accessKeyId": "own", "ehpc:accessKeySecret": "s"}, {"ehpc:profile": "own"}],
)
def test_a_key_of_ehpc_s_own_is_used_as_it_is(cli_file, sts, own):
    cli_file("own")
    config = {**ROLE, "alicloud:ecsRoleName": "r", "alicloud:sharedCredentialsFile": "/x", **own}
    assert key(config, {**KEY, "ALICLOUD_ASSUME_ROLE_ARN": ARN}).access_key_id == "own"
    assert sts.asked == []


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("acs:ram::2:role/x", "alicloud:assumeRole is not a JSON object."),
        ("[]", "alicloud:assumeRole is not a JSON object."),
        ('{"role_arn": "x"}', "alicloud:assumeRole has an unknown field, 'role_arn'"),
        (
            '{"roleArn": "x", "sessionExpiration": 5}',
            "alicloud:assumeRole has sessionExpiration '5'; it must be 900 to 43200 seconds.",
        ),
    ],
)
def test_a_role_of_another_form_is_refused_by_name(sts, value, told):
    assert refused({"alicloud:assumeRole": value}, KEY).startswith(told)
    assert sts.asked == []


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Code": "NoPermission", "Message": "SECRET signed", "RequestId": "R-1"}),
        json.dumps({"Credentials": {"AccessKeySecret": "SECRET"}}),
        "SECRET, no JSON",
    ],
)
def test_a_role_that_is_not_given_is_told_without_the_answers_words(sts, caplog, body):
    caplog.set_level(logging.DEBUG, logger="ehpc_nodes")
    sts.status, sts.body = 403, body
    text = refused(ROLE, KEY, NoCredentialsError)
    told = f"No access key from role '{ARN}' (alicloud:assumeRole), assumed with the key of: ALIBABA_CLOUD"
    assert text.startswith(told)
    assert "HTTP 403" in text
    assert ("NoPermission (HTTP 403, RequestId R-1)" in text) is ("R-1" in body)
    assert "SECRET" not in text + caplog.text


def test_the_address_that_was_called_is_not_told(sts):
    sts.body = OSError(
        "HTTPSConnectionPool(host='sts.aliyuncs.com', port=443): Max retries exceeded with url:"
        ' /?OIDCToken=SECRET (Caused by NewConnectionError("<x>: [Errno 111] Connection refused"))'
    )
    text = refused(ROLE, KEY, NoCredentialsError)
    assert ": no connection to sts.aliyuncs.com: Connection refused. Check that the role" in text
    assert "SECRET" not in text


def test_without_a_key_to_assume_it_with_the_role_s_error_is_the_chain_s():
    assert refused(ROLE, {}, NoCredentialsError).startswith(
        "No access key is set in the stack config"
    )


def test_the_instance_s_role_that_is_named_is_the_one(sts, monkeypatch):
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "false")
    paths = []

    def do_action(request, _options=None):
        paths.append(request.pathname)
        body = "t" if request.method == "PUT" else json.dumps({"Code": "Success", **GIVEN_OUT})
        return SimpleNamespace(status_code=200, body=body.encode())

    monkeypatch.setattr(TeaCore, "do_action", do_action)
    assert key({"alicloud:ecsRoleName": "compute"}, KEY) == ASSUMED
    assert key({}, {"ALICLOUD_ECS_ROLE_NAME": "other"}) == ASSUMED
    asked = [path.rpartition("/")[2] for path in paths if "security-credentials" in path]
    assert asked == ["compute", "other"]


def test_an_address_that_gives_keys_out_is_asked(sts, monkeypatch):
    sts.body = json.dumps({"Code": "Success", **GIVEN_OUT})
    address = "http://127.0.0.1:1/keys?token=SECRET"
    assert key({"alicloud:credentialsUri": address}, KEY) == ASSUMED
    assert key({}, {"ALICLOUD_CREDENTIALS_URI": address}) == ASSUMED
    assert parse_qs(urlsplit(address).query)["token"] == [sts.asked[0]["token"]]
    sts.status = 500
    text = refused({"alicloud:credentialsUri": address}, {}, NoCredentialsError)
    assert text.startswith("No access key from alicloud:credentialsUri: ")
    assert "SECRET" not in text


def test_a_role_by_a_token_of_an_identity_provider(sts, tmp_path):
    token = tmp_path / "token"
    token.write_text("TOKEN")
    role = {"roleArn": ARN, "oidcProviderArn": "acs:ram::2:oidc-provider/p"}
    config = {"alicloud:assumeRoleWithOidc": json.dumps({**role, "oidcTokenFile": str(token)})}
    assert key(config) == ASSUMED
    assert (sts.asked[0]["OIDCToken"], sts.asked[0]["RoleArn"]) == ("TOKEN", ARN)
    held = {"alicloud:assumeRoleWithOidc": json.dumps({**role, "oidcToken": "SECRET"})}
    text = refused(held, KEY)
    assert text.startswith("alicloud:assumeRoleWithOidc has an unknown field, 'oidcToken'")
    assert "SECRET" not in text


# -- why there is none -----------------------------------------------------------------------------


def lines(config=None, environ=None):
    text = refused(config, environ, NoCredentialsError)
    found = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
    return {place: why for place, _, why in (line.partition(": ") for line in found)}


CLI = "~/.aliyun/config.json"


def test_every_place_of_the_default_chain_has_a_line():
    assert lines() == {
        CLI: "the file does not exist.",
        "~/.alibabacloud/credentials.ini": "the file does not exist.",
        "the instance's RAM role": "turned off (ALIBABA_CLOUD_ECS_METADATA_DISABLED).",
    }


def test_a_bom_is_read(cli_file):
    cli_file("work", encoding="utf-8-sig")
    assert key().access_key_id == "work"
    assert key({"ehpc:profile": "work"}).access_key_id == "work"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"profiles": []}'.encode("utf-16"), "it is UTF-16: save it as UTF-8."),
        (b'{"current": "\xff"}', "it is not UTF-8: save it as UTF-8."),
        (b'{"current":\n SECRET}', "it is not JSON, at line 2."),
        (b"{}", "it has no profiles."),
        (b"[]", "it has no profiles."),
        (b'{"profiles": []}', "it has no current profile."),
    ],
)
def test_a_file_that_cannot_be_used_says_why(home, content, why):  # noqa: F811
    (home / ".aliyun" / "config.json").write_bytes(content)
    assert lines()[CLI] == why


def test_a_current_profile_that_is_none_is_named(cli_file):
    cli_file("work", current="gone")
    assert lines()[CLI] == "it has no profile 'gone', its current profile."
    text = refused({"ehpc:profile": "away"}, {}, NoCredentialsError)
    assert f"profile 'away' (ehpc:profile) in {CLI}: it has no profile 'away'." in text


def test_a_login_that_has_run_out_is_told(cli_file):
    sso = {"name": "x", "mode": "CloudSSO", "cloud_sso_sign_in_url": "https://x.example"}
    cli_file(current="x", profiles=[sso])
    assert lines()[CLI] == "CloudSSO access token is empty or expired, please re-login with cli."


def test_a_token_s_file_that_is_not_there_is_told(monkeypatch):
    environ = {
        "ALIBABA_CLOUD_ROLE_ARN": ARN,
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::2:oidc-provider/p",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/nowhere/token",
    }
    oidc = "OIDC (ALIBABA_CLOUD_OIDC_TOKEN_FILE)"
    assert "ROLE_ARN" in lines({}, environ | {"ALIBABA_CLOUD_ROLE_ARN": ""})[oidc]
    for name in ("role_arn", "oidc_provider_arn", "oidc_token_file"):
        variable = environ[f"ALIBABA_CLOUD_{name.upper()}"]
        monkeypatch.setattr(auth_util, f"environment_{name}", variable)
    assert lines({}, environ)[oidc] == "No such file or directory: /nowhere/token."


def test_a_bom_before_ini_profiles_is_told(home):  # noqa: F811
    (home / ".alibabacloud").mkdir()
    ini = home / ".alibabacloud" / "credentials.ini"
    ini.write_bytes(b"\xef\xbb\xbf[default]\n")
    told = lines()["~/.alibabacloud/credentials.ini"]
    assert told == "it starts with a BOM: save it as UTF-8 without a BOM."


def test_the_place_that_gave_a_key_stays_the_one(cli_file, home, monkeypatch):  # noqa: F811
    """Another account's key in the middle of a run would be worse than none."""
    cli_file("work")
    (home / ".alibabacloud").mkdir()
    (home / ".alibabacloud" / "credentials.ini").write_text(
        "[default]\ntype = access_key\naccess_key_id = another\naccess_key_secret = s\n"
    )
    get = settings.resolve(lambda _: None, {}, region="cn-x").credentials
    assert get().access_key_id == "work"

    def gone(_self):
        raise OSError("gone")

    monkeypatch.setattr(CLIProfileCredentialsProvider, "get_credentials", gone)
    with pytest.raises(NoCredentialsError) as caught:
        get()
    told = [line for line in str(caught.value).splitlines() if line.startswith("- ")]
    assert told == [f"- {CLI}: gone."]
