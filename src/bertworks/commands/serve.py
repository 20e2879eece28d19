"""`bert serve`: models behind HTTP, and a page to see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bertworks.errors import InputError
from bertworks.flag_groups import Precision
from bertworks.flags import REQUIRED, CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Serve models over HTTP: classes, entities, answers, words at [MASK], vectors; and a page to see them.

    bert serve my-classifier my-tagger bert-base-uncased

    Programs for OpenAI's embeddings, text-embeddings-inference and bert-as-service work as they are: see /docs.
    """

    shown_first = (
        "model device precision runtime host port api_key cors allowed_hosts allow_changes max_wait_ms "
        "max_batch_tokens max_waiting_tokens max_body_bytes max_texts max_request_tokens max_connections"
    )
    model: str = flag(
        REQUIRED,
        "The models: names, folders, zips or files, as in other commands; several words, or commas between. "
        "NAME=FOLDER gives one a name.",
        group="Model",
        path="or name",
        alias="model_name_or_path model_id model_dir",
        positional="several",
    )
    device: str = flag(
        "auto", "The device: cpu, cuda, cuda:N, or auto: CUDA if there is one, else the CPU.", group="Model"
    )
    precision: Precision = flag(
        "fp32",
        "What to compute in; auto is bf16 if the hardware multiplies it natively, int8 is for CPUs.",
        group="Model",
    )
    runtime: Literal["torch", "onnx", "openvino"] = flag(
        "torch",
        "What computes; onnx and openvino take folders that bert export wrote, in fp32 or int8.",
        group="Model",
    )

    host: str = flag(
        "127.0.0.1", "The address to listen on; 0.0.0.0 is every one of the machine.", group="Access", alias="hostname"
    )
    port: int = flag(8000, "The port; 0 takes a free one.", group="Access", lowest=0, highest=65535, alias="http_port")
    api_key: str | None = flag(
        None, "Answer only to requests with this key; the environment's BERT_API_KEY otherwise.", group="Access"
    )
    cors: str | None = flag(
        None,
        "Origins whose pages may ask, with commas between; * for all. By default none.",
        group="Access",
        alias="cors_allow_origin",
    )
    allowed_hosts: str | None = flag(
        None,
        "Names that requests may call the server by, with commas between; * for all. By default those of loopback, or "
        "all on other addresses.",
        group="Access",
    )
    allow_changes: bool = flag(
        False, "Serve the routes that unload models and load them again. SIGHUP always loads again.", group="Access"
    )

    max_wait_ms: float = flag(2.0, "How long a request waits for others to share its batch.", group="Batches", lowest=0)
    max_batch_tokens: int | None = flag(
        None, "The most tokens of a batch; by default 1024 on a CPU, 32768 on a GPU.", group="Batches", lowest=16
    )
    max_waiting_tokens: int = flag(
        262_144, "When more tokens wait, requests are refused with 429.", group="Batches", lowest=1
    )

    max_body_bytes: int = flag(
        2_000_000, "The largest body of a request.", group="Limits", lowest=1000, alias="payload_limit"
    )
    max_texts: int = flag(1024, "The most texts of a request.", group="Limits", lowest=2, alias="max_client_batch_size")
    max_request_tokens: int = flag(65_536, "The most tokens of a request, with its windows.", group="Limits", lowest=16)
    max_connections: int = flag(
        512,
        "The most requests at a time; more are refused with 429.",
        group="Limits",
        lowest=1,
        alias="max_concurrent_requests",
    )
    body_seconds: float = flag(20.0, "How long a client may take to send a body.", group="Limits", above=0)
    request_seconds: float = flag(60.0, "How long an answer may take.", group="Limits", above=0)
    drain_seconds: int = flag(30, "How long answers may take after SIGTERM.", group="Limits", lowest=0)


def main(flags: Flags) -> None:
    """Load the models and serve them until a signal."""
    try:
        from bertworks.serve import run
    except ModuleNotFoundError as error:
        raise InputError(f'bert serve needs {error.name}: pip install "bertworks[serve]"') from None
    import os
    from functools import partial

    from bertworks.model.device import choose_device
    from bertworks.progress import say
    from bertworks.serve.engine import Engine
    from bertworks.serve.http import Access, make_app
    from bertworks.serve.limits import Limits
    from bertworks.serve.loading import check_runtime, load_model
    from bertworks.serve.models import Registry, listed, named_sources
    from bertworks.serve.routes import all_endpoints

    key = os.environ.get("BERT_API_KEY", "") if flags.api_key is None else flags.api_key
    check_runtime(flags.runtime, flags.device, flags.precision)
    on_gpu = flags.runtime == "torch" and choose_device(flags.device).type == "cuda"
    limits = Limits(
        body_bytes=flags.max_body_bytes,
        texts=flags.max_texts,
        request_tokens=flags.max_request_tokens,
        waiting_tokens=flags.max_waiting_tokens,
        batch_tokens=flags.max_batch_tokens or (32_768 if on_gpu else 1024),
        max_wait_ms=flags.max_wait_ms,
        connections=flags.max_connections,
        body_seconds=flags.body_seconds,
        request_seconds=flags.request_seconds,
    )
    names = listed((flags.allowed_hosts or ",".join(run.own_names(flags.host))).lower())
    access = Access(api_key=key, cors=listed(flags.cors or ""), hosts=names if "*" not in names else ())
    sources = named_sources(flags.model)
    with run.bind(flags.host, flags.port) as sock:
        registry = Registry(sources, partial(load_model, flags.device, flags.precision, flags.runtime))
        for model in registry:
            say(str(model.pretrained.report))
            say(f"{model.name}: can {', '.join(model.abilities)} (version {model.version}, from {model.source})")
        engine = Engine(registry, limits)
        app = make_app(engine, all_endpoints(with_key=bool(key), allow_changes=flags.allow_changes), access)
        run.serve(run.make_server(app, limits, flags.drain_seconds), engine, sock)
