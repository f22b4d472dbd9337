"""Settings as the engine hands them over: objects of the stack config, files of a home, two accounts."""

import json

from engine.program import PROGRAM, declare


def profile(key_id, secret, **more):
    entry = {"name": "default", "mode": "AK", "access_key_id": key_id, "access_key_secret": secret}
    return json.dumps({"current": "default", "profiles": [entry], **more})


def on(it, pulumi_stack, tmp_path, data=b"{}", program=PROGRAM, **config):
    """A stack on an emulated cloud, without a key of its own, in a home with this file of the command line tool."""
    home = tmp_path / "home"
    (home / ".aliyun").mkdir(parents=True)
    (home / ".aliyun" / "config.json").write_bytes(data)
    stack = pulumi_stack(program, env={"HOME": str(home)})
    place = {"ehpc:region": "cn-hangzhou", "ehpc:endpoint": it.url, "ehpc:ecsEndpoint": it.url}
    stack.configure({**place, **config})
    declare(stack, 1)
    return stack


def test_the_shared_credentials_file_is_read_and_no_other(cloud, pulumi_stack, tmp_path):
    it = cloud()
    team = tmp_path / "team.json"
    team.write_text(profile(it.server.access_key_id, it.server.access_key_secret))
    config = {"alicloud:profile": "default", "alicloud:sharedCredentialsFile": str(team)}
    another = profile("fake-other-account", "fake-secret").encode()
    assert on(it, pulumi_stack, tmp_path, another, **config).preview().ops("nodes") == ["create"]


def test_a_role_that_cannot_be_assumed_is_told_and_its_base_key_not_used(
    cloud, pulumi_stack, tmp_path
):
    it = cloud()
    good = profile(it.server.access_key_id, it.server.access_key_secret).encode()
    role = {"roleArn": "acs:ram::2:role/deploy", "sessionExpiration": 5}
    config = {"alicloud:profile": "default", "alicloud:assumeRole": role}
    stack = on(it, pulumi_stack, tmp_path, good, **config)
    refused = stack.preview(expect_failure=True)
    told = "alicloud:assumeRole has sessionExpiration '5': give seconds, 900 to 43200."
    assert any(told in text for text in refused.errors), refused.text
    role.pop("sessionExpiration")
    stack.configure({"alicloud:assumeRole": role})
    stack.env["HTTPS_PROXY"] = "http://127.0.0.1:9"  # nothing of it leaves the machine
    refused = stack.preview(expect_failure=True)
    told = (
        "No key from role 'acs:ram::2:role/deploy' (alicloud:assumeRole), assumed with the key of:"
    )
    assert any(told in text for text in refused.errors), refused.text
    assert it.calls() == []


def test_why_no_place_has_a_key_is_told(cloud, pulumi_stack, tmp_path):
    it = cloud()
    refused = on(it, pulumi_stack, tmp_path, profile("a", "b", current="gone").encode()).preview(
        expect_failure=True
    )
    told = "- ~/.aliyun/config.json: it has no profile 'gone', which it names as current."
    assert any(told in text.splitlines() for text in refused.errors), refused.text
    assert "Traceback" not in refused.text
