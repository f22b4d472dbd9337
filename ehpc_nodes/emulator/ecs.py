"""The part of ECS that attaching needs: instances, their stop, tags."""

from __future__ import annotations

import base64
import binascii

from .answers import ApiError, Body, missing
from .params import Args
from .state import State
from .world import Instance

TAG_PAGE = 50


def refuse(name: str) -> ApiError:
    """ECS's error about a parameter that is not valid."""
    return ApiError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")


def check_region(state: State, args: Args) -> None:
    if args.text("RegionId") != state.world.region:
        text = "The specified RegionId does not exist."
        raise ApiError(404, "InvalidRegionId.NotFound", text)


def describe_instances(state: State, args: Args) -> Body:
    """A tag filter finds at most so many instances (documented); guessed: the answer does not show it."""
    check_region(state, args)
    state.look_at_instances()
    found = [item for item in _candidates(state, args) if _matches(item, args)]
    if args.pairs("Tag"):
        found = found[: state.world.tag_filter_limit]
    by_token = args.has("NextToken") or args.has("MaxResults")
    size = args.number("MaxResults", 10) if by_token else args.number("PageSize", 10)
    first = (args.number("PageNumber", 1) - 1) * size
    if by_token:
        first = _offset(args.text("NextToken"))
    return {
        "Instances": {"Instance": [_row(state, item) for item in found[first : first + size]]},
        "NextToken": _token(first + size) if by_token and first + size < len(found) else "",
        "PageNumber": 1 if by_token else args.number("PageNumber", 1),
        "PageSize": size,
        "TotalCount": len(found),
    }


def stop_instances(state: State, args: Args) -> Body:
    check_region(state, args)
    ids = args.items("InstanceId.N")
    refusals = {item: _why_not_stop(state, item) for item in ids}
    first = next((why for why in refusals.values() if why), None)
    if first and args.text("BatchOptimization", "AllTogether") == "AllTogether":
        raise first
    if args.flag("DryRun"):
        text = "Request validation has been passed with DryRun flag set."
        raise ApiError(400, "DryRunOperation", text)
    rows = []
    for item, why in refusals.items():
        rows.append(_refused(state, item, why) if why else _stop(state, item, args))
    return {"InstanceResponses": {"InstanceResponse": rows}}


def tag_resources(state: State, args: Args) -> Body:
    check_region(state, args)
    pairs = args.pairs("Tag")
    for key, value in pairs:
        if not _tag_key_ok(key) or len(value or "") > 128:
            raise refuse("Tag.N.Key")
    found = [_resource(state, item) for item in args.items("ResourceId.N")]
    for instance in found:
        if len({*instance.tags, *(key for key, _ in pairs)}) > state.world.tags_per_instance:
            text = f"The instance {instance.id} would have too many tags."
            raise ApiError(400, "LimitExceeded.Tags", text)
    for instance in found:
        instance.tags.update((key, value or "") for key, value in pairs)
    return {}


def untag_resources(state: State, args: Args) -> Body:
    check_region(state, args)
    keys = args.items("TagKey.N")
    if not keys and not args.flag("All"):
        raise missing("TagKey.1")
    for instance in [_resource(state, item) for item in args.items("ResourceId.N")]:
        for key in keys or list(instance.tags):
            instance.tags.pop(key, None)
    return {}


def list_tag_resources(state: State, args: Args) -> Body:
    """Guessed: pages of 50 tags; for an instance with the wanted tags, all its tags."""
    check_region(state, args)
    ids, wanted = args.items("ResourceId.N"), args.pairs("Tag")
    if not ids and not wanted:
        raise missing("ResourceId.1")
    chosen = (state.world.instances.get(item) for item in ids or list(state.world.instances))
    rows = [
        {"ResourceId": item.id, "ResourceType": "instance", "TagKey": key, "TagValue": value}
        for item in chosen
        if item is not None and _tagged(item, wanted)
        for key, value in item.tags.items()
    ]
    first = _offset(args.text("NextToken"))
    more = first + TAG_PAGE < len(rows)
    return {
        "TagResources": {"TagResource": rows[first : first + TAG_PAGE]},
        "NextToken": _token(first + TAG_PAGE) if more else "",
    }


def _candidates(state: State, args: Args) -> list[Instance]:
    """An unknown id is absent from the answer."""
    ids = args.ids("InstanceIds")
    if ids is None:
        return list(state.world.instances.values())
    known = state.world.instances
    return [known[item] for item in dict.fromkeys(ids) if item in known]


def _matches(item: Instance, args: Args) -> bool:
    return (
        args.text("Status", item.status) == item.status
        and args.text("VpcId", item.vpc_id) == item.vpc_id
        and _tagged(item, args.pairs("Tag"))
    )


def _tagged(item: Instance, wanted: list[tuple[str, str | None]]) -> bool:
    return all(key in item.tags and value in (None, "", item.tags[key]) for key, value in wanted)


def _tag_key_ok(key: str) -> bool:
    lowered = key.lower()
    reserved = lowered.startswith(("aliyun", "acs:")) or "http://" in lowered
    return 0 < len(key) <= 128 and not reserved and "https://" not in lowered


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        return max(0, int(text.removeprefix("offset:")))
    except (binascii.Error, ValueError) as error:
        raise refuse("NextToken") from error


def _resource(state: State, instance_id: str) -> Instance:
    found = state.world.instances.get(instance_id)
    if found is None:
        text = f"The specified resource {instance_id} is not found."
        raise ApiError(404, "InvalidResourceId.NotFound", text)
    return found


def _why_not_stop(state: State, instance_id: str) -> ApiError | None:
    instance = state.world.instances.get(instance_id)
    if instance is None:
        text = f"The specified InstanceId {instance_id} does not exist."
        return ApiError(404, "InvalidInstanceId.NotFound", text)
    if "security" in instance.locks:
        text = f"The instance {instance_id} is locked due to security reasons."
        return ApiError(403, "InstanceLockedForSecurity", text)
    if instance.status != "Running":
        text = f"The current status ({instance.status}) of {instance_id} does not support this."
        return ApiError(403, "IncorrectInstanceStatus", text)
    return None


def _stop(state: State, instance_id: str, args: Args) -> Body:
    instance = state.world.instances[instance_id]
    before = instance.status
    instance.stopped_mode = args.text("StoppedMode", "KeepCharging")
    state.move(instance, "Stopping", "Stopped")
    return _response(instance_id, "200", "success", "Stopping", before)


def _refused(state: State, instance_id: str, why: ApiError) -> Body:
    instance = state.world.instances.get(instance_id)
    status = instance.status if instance else ""
    return _response(instance_id, why.code, why.message, status, status)


def _response(instance_id: str, code: str, message: str, now: str, before: str) -> Body:
    return {
        "InstanceId": instance_id,
        "Code": code,
        "Message": message,
        "CurrentStatus": now,
        "PreviousStatus": before,
    }


def _row(state: State, item: Instance) -> Body:
    vpc = {
        "VpcId": item.vpc_id if item.network_type == "vpc" else "",
        "VSwitchId": item.vswitch_id if item.network_type == "vpc" else "",
        "NatIpAddress": "",
        "PrivateIpAddress": {"IpAddress": [item.private_ip]},
    }
    locks = [{"LockReason": reason, "LockMsg": ""} for reason in item.locks]
    tags = [{"TagKey": key, "TagValue": value} for key, value in item.tags.items()]
    return {
        "InstanceId": item.id,
        "InstanceName": item.id,
        "HostName": item.host_name,
        "Status": item.status,
        "ImageId": item.image_id,
        "OSName": item.os_name,
        "OSNameEn": item.os_name,
        "OSType": item.os_type,
        "VpcAttributes": vpc,
        "ZoneId": item.zone_id or f"{state.world.region}-a",
        "RegionId": state.world.region,
        "InstanceType": item.instance_type,
        "InstanceNetworkType": item.network_type,
        "StoppedMode": item.stopped_mode,
        "OperationLocks": {"LockReason": locks},
        "SecurityGroupIds": {"SecurityGroupId": list(item.security_group_ids)},
        "Tags": {"Tag": tags},
        "Cpu": item.cpu,
        "Memory": item.memory,
        "GPUAmount": item.gpu,
        "CreationTime": item.creation_time,
        "ExpiredTime": item.expired_time,
        "SpotStrategy": item.spot_strategy,
    }
