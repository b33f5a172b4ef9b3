"""
What a user does with the generated client: sends events, asks for their average, and reads an error.

    python3 use.py <folder of relay_client> <url of the API> <token>
"""
import sys
import time
from datetime import datetime, timedelta, timezone

folder, url, token = sys.argv[1:]
sys.path.insert(0, folder)

from relay_client import AuthenticatedClient  # noqa: E402
from relay_client.api.aggregates import get_aggregates  # noqa: E402
from relay_client.api.devices import get_device  # noqa: E402
from relay_client.api.ingest import send_events  # noqa: E402
from relay_client.models import Aggregates, DeviceEvent, EventsProblem, IngestAnswer, Problem  # noqa: E402

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
client = AuthenticatedClient(base_url=url, token=token)


def event(value: float, device_type: str = "THERMOSTAT") -> DeviceEvent:
    timestamp = START + timedelta(seconds=value)
    return DeviceEvent(device_id="python", device_type=device_type, zone="Zone A", value=value, timestamp=timestamp)


sent = send_events.sync(client=client, body=[event(1), event(2), event(6)], idempotency_key="python-1")
assert isinstance(sent, IngestAnswer) and sent.accepted == 3, sent

deadline = time.monotonic() + 60
while True:
    answer = get_aggregates.sync(
        client=client, device=["python"], start=START.isoformat(), end=(START + timedelta(hours=1)).isoformat(),
        interval="range", stats="count,avg,p99.9",
    )
    assert isinstance(answer, Aggregates), answer
    if answer.rows and answer.rows[0].count == 3:
        break
    assert time.monotonic() < deadline, answer
    time.sleep(0.05)
assert answer.rows[0].avg == 3, answer
assert 5 < answer.rows[0]["p99.9"] <= 6, answer

refused = send_events.sync(client=client, body=[event(1, device_type="TOASTER")])
assert isinstance(refused, EventsProblem) and refused.refused[0].reason == "device-type-unknown", refused

nobody = get_device.sync(client=client, device="nobody")
assert isinstance(nobody, Problem) and (nobody.status, nobody.code) == (404, "RELAY_NO_DATA"), nobody
