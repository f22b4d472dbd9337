"""Stands in for pulumi-alicloud's plugin: `ecs.Instance` on the emulated cloud's instances, as far as order and drift go.

Making compute1 gives the emulated instance of that host name. Reading says what the emulated ECS says of status,
image and tags, as alicloud's provider does. Deleting a node of a cluster is refused.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

STEERING = os.environ["EMULATOR_URL"] + "/_emulator/"


def world():
    with urlopen(STEERING + "world") as answer:
        return json.load(answer)


def struct(values):
    made = Struct()
    made.update(values)
    return made


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="4.0.0")

    def CheckConfig(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802
        old, new = MessageToDict(request.old_inputs), MessageToDict(request.news)
        names = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
        kind = provider_pb2.DiffResponse
        return kind(changes=kind.DIFF_SOME if names else kind.DIFF_NONE, diffs=names)

    def Create(self, request, context):  # noqa: N802
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        name = request.properties["hostName"]
        (made,) = (i for i in world()["instances"] if i["host_name"] == name)
        return provider_pb2.CreateResponse(id=made["id"], properties=request.properties)

    def Read(self, request, context):  # noqa: N802
        (seen,) = (i for i in world()["instances"] if i["id"] == request.id)
        said = {"status": seen["status"], "imageId": seen["image_id"]}
        if seen["tags"]:
            said["tags"] = seen["tags"]
        inputs, properties = MessageToDict(request.inputs), MessageToDict(request.properties)
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=struct({**inputs, **said}),
            properties=struct({**properties, **said}),
        )

    def Update(self, request, context):  # noqa: N802
        return provider_pb2.UpdateResponse(properties=request.news)

    def Delete(self, request, context):  # noqa: N802
        if any(node["id"] == request.id for c in world()["clusters"] for node in c["nodes"]):
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.id} is a node of a cluster")
        body = json.dumps({"do": "remove_instance", "instance_id": request.id}).encode()
        urlopen(Request(STEERING + "outside", body, method="POST")).close()
        return Empty()

    def Cancel(self, request, context):  # noqa: N802
        return Empty()


server = grpc.server(ThreadPoolExecutor(4))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(StandIn(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
sys.stdout.write(f"{port}\n")
sys.stdout.flush()
server.wait_for_termination()
