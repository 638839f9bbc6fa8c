"""``--mqtt`` as a user meets it: TLS, logins, secrets, and what is said of what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.camera.store import Store
from edge.errors import LesionEdgeError
from edge.mqtt.broker import Broker, broker
from edge.mqtt.connection import check_broker
from edge.mqtt.publisher import publish
from tests.camera import run_camera
from tests.mqtt.test_mqtt_broker import mosquitto as mosquitto  # noqa: PLC0414 - a fixture
from tests.support.broker import Mosquitto, Subscriber, until
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = "pa55-w0rd"  # noqa: S105


def options(address: str, **more: Any) -> Namespace:
    keys = ("mqtt_login", "mqtt_ca", "mqtt_cert", "mqtt_key")
    return Namespace(mqtt=address, **dict.fromkeys(keys) | more)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA of our own, the broker's certificate of localhost, and a device's, by OpenSSL."""
    folder = tmp_path_factory.mktemp("certificates")

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here: apt-get install openssl")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    curve = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    new = ("req", "-newkey", *curve, "-nodes", "-keyout")
    for name in ("ca", "stranger"):
        days = ("-days", "2", "-subj", f"/CN={name}")
        run(*new, f"{name}.key", "-x509", "-out", f"{name}.pem", *days)
    for name in ("localhost", "device"):
        run(*new, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "more").write_text(f"subjectAltName=DNS:{name}\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        run(
            "x509", "-req", "-in", f"{name}.csr", *signed, "-extfile", "more", "-out", f"{name}.pem"
        )
    return folder


@pytest.fixture
def picky(mosquitto: Callable[..., Mosquitto], certificates: Path, tmp_path: Path) -> Mosquitto:
    """A broker with TLS that asks for a certificate and a password, but at its plain port."""
    (tmp_path / "users").write_text(f"camera:{PASSWORD}\n")
    subprocess.run([shutil.which("mosquitto_passwd") or "", "-U", tmp_path / "users"], check=True)
    return mosquitto(
        "per_listener_settings true",
        "listener PORT 127.0.0.1",
        f"allow_anonymous false\npassword_file {tmp_path / 'users'}",
        f"cafile {certificates / 'ca.pem'}\ncertfile {certificates / 'localhost.pem'}",
        f"keyfile {certificates / 'localhost.key'}\nrequire_certificate true",
        "listener PLAIN 127.0.0.1\nallow_anonymous true",
    )


@pytest.mark.slow
def test_over_tls_with_a_certificate_and_a_password_nothing_secret_is_on_the_command_line(
    picky: Mosquitto, certificates: Path, tmp_path: Path
) -> None:
    made, plain = picky, picky.plain
    subscriber = Subscriber(plain)
    login = tmp_path / "login"
    login.write_text(f"camera\n{PASSWORD}\n")
    own = {"mqtt_ca": "ca.pem", "mqtt_cert": "device.pem", "mqtt_key": "device.key"}
    files: dict[str, Any] = {key: certificates / name for key, name in own.items()}
    arguments: dict[str, Any] = {
        "mqtt": f"mqtts://localhost:{made.port}/derm/one",
        "source": SAMPLES[0].parent,
        "out": tmp_path / "out",
        "status_file": tmp_path / "status.json",
    }
    result = run_camera("--interval 0 --count 2", **arguments, **files, mqtt_login=login)
    assert result.returncode == 0, result.stderr
    assert "mqtts://" not in result.stderr  # nothing to tell
    until(lambda: subscriber.numbers == [1, 2])
    until(lambda: subscriber.messages["availability"][-1] == b"offline")
    config = json.loads(subscriber_of(plain, "homeassistant/#", "config"))
    assert config["device"]["name"] == "derm/one"
    status = json.loads(subscriber.messages["status"][-1])
    assert status["mqtt"]["lost"] == 0
    assert (
        json.loads((tmp_path / "status.json").read_text())["mqtt"].keys() == status["mqtt"].keys()
    )
    everything = b"".join(each for many in subscriber.messages.values() for each in many)
    said = result.stdout + result.stderr + everything.decode(errors="ignore")
    assert PASSWORD not in said
    # In the environment; and --check says that it works.
    env = {**os.environ, "LESION_EDGE_MQTT_USER": "camera", "LESION_EDGE_MQTT_PASSWORD": PASSWORD}
    result = run_camera("--check", **arguments, **files, env=env)
    assert f"ok       broker   mqtts://localhost:{made.port}/derm/one: connected" in result.stdout
    assert PASSWORD not in result.stdout + result.stderr


def subscriber_of(port: int, topics: str, topic: str) -> bytes:
    """Return what is retained of a topic."""
    late = Subscriber(port, topics, "late")
    until(lambda: topic in late.retained)
    late.close()
    return late.retained[topic]


def test_a_certificate_that_is_not_trusted_or_missing_and_a_wrong_password_are_told_apart(
    picky: Mosquitto, certificates: Path, tmp_path: Path
) -> None:
    made = picky
    login = tmp_path / "login"
    login.write_text("camera\nwrong\n")
    own = {
        "mqtt_cert": str(certificates / "device.pem"),
        "mqtt_key": str(certificates / "device.key"),
    }
    own["mqtt_login"] = str(login)
    trusted = {"mqtt_ca": str(certificates / "ca.pem")}
    stranger = {"mqtt_ca": str(certificates / "stranger.pem")}
    here = f"mqtts://localhost:{made.port}/derm/one"
    by_number = here.replace("localhost", "127.0.0.1")
    for address, files, told in (
        (here, own, "its certificate isn't trusted: "),
        (here, own | stranger, "its certificate isn't trusted: "),
        (by_number, own | trusted, "its certificate isn't trusted: IP address mismatch"),
        (here, trusted, "no TLS|connection lost|no answer"),
        (here, own | trusted, "it refuses: Not authorized: --mqtt-login FILE"),
        (here.replace(str(made.port), str(made.plain)), own | trusted, "no TLS|Connection reset"),
    ):
        finding = check_broker(broker(options(address, **files)))
        assert finding.level == "warning"
        assert any(each in finding.message for each in told.split("|")), finding.message
        assert PASSWORD not in finding.message


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mqtts://camera:s3cret@host/x", "--mqtt-login FILE, or LESION_EDGE_MQTT_USER"),
        ("mqtts://host/s3cret@x", "--mqtt-login FILE"),
        ("host", "write mqtts://HOST/PREFIX"),
        ("http://host/x", "write mqtts://HOST/PREFIX"),
        ("mqtts://host:99999/x", "write mqtts://HOST/PREFIX"),
        ("mqtts://host/x/+/y", "a PREFIX has no + and no #"),
        ("mqtts://host/#", "a PREFIX has no + and no #"),
        ("mqtts://host/$SYS", "write mqtts://HOST/PREFIX"),
    ],
)
def test_an_address_that_is_none_is_refused_and_a_password_in_it_not_repeated(
    address: str, told: str
) -> None:
    with pytest.raises(LesionEdgeError) as caught:
        broker(options(address))
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_addresses_say_port_and_topics() -> None:
    told = broker(options("mqtts://broker.example/clinic/room-3/"))
    assert (told.host, told.port, told.prefix) == ("broker.example", 8883, "clinic/room-3")
    told = broker(options("mqtt://[::1]:1884"))
    assert (told.host, told.port) == ("::1", 1884)
    assert told.prefix.startswith("lesion-edge/")
    assert told.tls is None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"mqtt_login": "missing"}, "--mqtt-login missing: No such file"),
        ({"mqtt_login": "empty"}, "--mqtt-login empty: the user goes into its first line"),
        ({"mqtt_ca": "missing"}, "--mqtt-ca missing: No such file"),
        ({"mqtt_ca": "empty"}, "--mqtt-ca empty: not a PEM file"),
        ({"mqtt_cert": "missing"}, "--mqtt-cert missing: No such file"),
        ({"mqtt_cert": "empty"}, "--mqtt-cert empty: not a PEM file"),
        ({"mqtt_cert": "empty", "mqtt_key": "missing"}, "--mqtt-key missing: No such file"),
        ({"mqtt_key": "empty"}, "--mqtt-key needs the certificate"),
    ],
)
def test_a_file_that_is_missing_or_is_no_such_thing_is_named_with_its_option(
    more: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(LesionEdgeError) as caught:
        broker(options("mqtts://host/x", **more))
    assert told in str(caught.value)


def test_without_encryption_there_is_no_certificate() -> None:
    with pytest.raises(LesionEdgeError, match="--mqtt-ca is for mqtts://"):
        broker(options("mqtt://host/x", mqtt_ca="ca.pem"))


def test_a_password_that_would_go_unencrypted_is_warned_of_and_not_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = Broker("127.0.0.1", 9, "derm/one", None, "camera", PASSWORD)
    store = Store(str(tmp_path))
    publish(where, store, "malignant", pictures=False, discovered_below="").close()
    assert "user and password go there unencrypted: use mqtts://" in caplog.text
    assert PASSWORD not in caplog.text + repr(where)


@pytest.mark.slow
def test_a_broker_that_is_not_there_costs_the_loop_nothing_and_the_results_wait(
    tmp_path: Path,
) -> None:
    result = run_camera(
        "--interval 0 --count 2 --mqtt mqtt://127.0.0.1:9/derm/one",
        source=SAMPLES[0].parent,
        out=tmp_path / "out",
        status_file=tmp_path / "status.json",
    )
    assert result.returncode == 0
    told = "mqtt://127.0.0.1:9/derm/one: Connection refused; results wait on the disk"
    assert result.stderr.count(told) == 1
    assert json.loads((tmp_path / "status.json").read_text())["mqtt"]["waiting"] == 2


@pytest.mark.slow
def test_it_needs_a_folder_for_results_to_wait_in() -> None:
    result = run_camera("--mqtt mqtts://host/x --save none")
    assert result.returncode == 2
    assert "--mqtt: results wait in the folder of --out, so not with --save none" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("more", "status"), [(["--mqtt", "mqtts://host/x"], 1), ([], 0)])
def test_without_the_extra_the_pip_command_is_named_and_without_the_option_nothing_is_imported(
    more: list[str], status: int, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['paho'] = None; from edge.camera.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "assert not [name for name in sys.modules if name.startswith('edge.mqtt.p')]\n"
        "sys.exit(status)"
    )
    words = ["--source", str(SAMPLES[0].parent), "--count", "1", "--out", str(tmp_path), *more]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == status, result.stderr
    assert ("pip install '.[mqtt]'" in result.stderr) == bool(status)
    assert "Traceback" not in result.stderr
