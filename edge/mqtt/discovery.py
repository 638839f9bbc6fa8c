"""Tells Home Assistant what there is to see of a device (its MQTT discovery, one message)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import edge

if TYPE_CHECKING:
    from .broker import Broker


def discovery(broker: Broker, prefix: str, positive: str, *, pictures: bool) -> tuple[str, str]:
    """Return topic and message, as JSON, that make the device appear in Home Assistant.

    Args:
        broker: whose prefix and name of the device.
        prefix: what Home Assistant looks below: homeassistant, unless that was changed there.
        positive: the model's positive label.
        pictures: the last picture is sent, too.

    """
    good = "(value_json.last_good or {})"
    values: dict[str, dict[str, str | int]] = {
        "label": {"name": "Label", "value_template": f"{{{{ {good}.get('label') }}}}"},
        "probability": {
            "name": f"P({positive})",
            "value_template": f"{{{{ {good}.get('probability') }}}}",
            "suggested_display_precision": 2,
            "state_class": "measurement",
        },
        "frame_state": {"name": "Frame", "value_template": "{{ value_json.frame_state }}"},
        "temperature": {
            "name": "Temperature",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
        },
    }
    parts: dict[str, dict[str, str | int]] = {
        key: {"platform": "sensor", "state_topic": f"{broker.prefix}/status", **value}
        for key, value in values.items()
    }
    if pictures:
        parts["picture"] = {
            "platform": "image",
            "name": "Last picture",
            "image_topic": f"{broker.prefix}/picture",
            "content_type": "image/jpeg",
        }
    for key, part in parts.items():
        part["unique_id"] = f"{broker.device}_{key}"
    message = {
        "device": {
            "identifiers": [broker.device],
            "name": broker.prefix,
            "manufacturer": "lesion-edge",
            "sw_version": edge.__version__,
        },
        "origin": {"name": "lesion-edge", "sw_version": edge.__version__},
        "availability_topic": f"{broker.prefix}/availability",
        "components": parts,
    }
    return f"{prefix}/device/{broker.device}/config", json.dumps(message)
