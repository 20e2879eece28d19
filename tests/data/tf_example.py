"""`tensorflow.Example` read and written by Google's library, which ours is compared with."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


@cache
def example_class() -> Any:
    """The class of `tensorflow.Example` (tensorflow/core/example/{example,feature}.proto), described here."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bertworks/example.proto", package="bertworks", syntax="proto3")
    lists = {"BytesList": kind.TYPE_BYTES, "FloatList": kind.TYPE_FLOAT, "Int64List": kind.TYPE_INT64}
    for name, type_ in lists.items():
        file.message_type.add(name=name).field.add(name="value", number=1, label=kind.LABEL_REPEATED, type=type_)

    def add(message: Any, name: str, number: int, of: str, label: int = kind.LABEL_OPTIONAL) -> Any:
        """Give a message a field that is a message."""
        type_name = f".bertworks.{of}"
        return message.field.add(name=name, number=number, label=label, type=kind.TYPE_MESSAGE, type_name=type_name)

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, of) in enumerate(zip(("bytes_list", "float_list", "int64_list"), lists, strict=True), 1):
        add(feature, name, number, of).oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=kind.LABEL_OPTIONAL, type=kind.TYPE_STRING)
    add(entry, "value", 2, "Feature")
    add(features, "feature", 1, "Features.FeatureEntry", kind.LABEL_REPEATED)
    add(file.message_type.add(name="Example"), "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bertworks.Example"))
