"""A MAVLink vehicle for the telemetry tests, spoken by pymavlink.

Prints one JSON line per event: what it listens on, and every message it gets, with when that was. Ends when its
standard input is closed.
"""

import argparse
import json
import math
import os
import random
import struct
import sys
import threading
import time
import tty

parser = argparse.ArgumentParser()
parser.add_argument("link", help="a pymavlink connection string, or `pty`")
parser.add_argument("--version", choices=["1", "2"], default="2")
parser.add_argument("--system", type=int, default=1)
parser.add_argument("--lat", type=float, default=36.0662345)
parser.add_argument("--lon", type=float, default=120.3821234)
parser.add_argument("--up", type=float, default=5.0, help="seconds since its boot")
parser.add_argument("--on-request", action="store_true", help="send what was asked for only")
parser.add_argument("--ack", type=int, default=0, help="MAV_RESULT of SET_MESSAGE_INTERVAL")
parser.add_argument("--horn", type=int, default=0, help="MAV_RESULT of switching it on, -1: none")
parser.add_argument("--noise", action="store_true", help="random bytes between messages")
parser.add_argument("--others", action="store_true", help="other systems on the same link")
parser.add_argument("--mount", action="store_true", help="legacy mount instead of a gimbal")
args = parser.parse_args()

os.environ["MAVLINK20" if args.version == "2" else "MAVLINK10"] = "1"
from pymavlink import mavutil  # noqa: E402  (the version is chosen by the environment)

mavutil.set_dialect("ardupilotmega")
mavlink = mavutil.mavlink


class PlayTuneV2(mavlink.MAVLink_message):
    """PLAY_TUNE_V2 of MAVLink common, as PX4 hears it: ArduPilot's definitions lack it."""

    id, msgname, name = 400, "PLAY_TUNE_V2", "PLAY_TUNE_V2"
    fieldnames = ["target_system", "target_component", "format", "tune"]
    ordered_fieldnames = ["format", "target_system", "target_component", "tune"]
    fieldtypes = ["uint8_t", "uint8_t", "uint32_t", "char"]
    fielddisplays_by_name, fieldenums_by_name, fieldunits_by_name = {}, {}, {}
    native_format = bytearray(b"<IBBc")
    orders, lengths, array_lengths = [1, 2, 0, 3], [1, 1, 1, 1], [0, 0, 0, 248]
    crc_extra, unpacker = 110, struct.Struct("<IBB248s")
    instance_field, instance_offset = None, -1

    def __init__(self, target_system, target_component, format, tune):
        super().__init__(self.id, self.msgname)
        self._fieldnames = self.fieldnames
        self._instance_field, self._instance_offset = None, -1
        self.target_system, self.target_component = target_system, target_component
        self.format, self.tune = format, tune.split(b"\0", 1)[0].decode("ascii")


mavlink.mavlink_map[PlayTuneV2.id] = PlayTuneV2


def say(**event):
    print(json.dumps(event), flush=True)


class Pty:
    """A pseudo terminal that pymavlink writes frames to."""

    def __init__(self):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self.name = os.ttyname(slave)
        self.mav = mavlink.MAVLink(self, srcSystem=args.system, srcComponent=1)
        self.mav.robust_parsing = True
        self.waiting = []

    def write(self, data):
        try:
            os.write(self.master, data)
        except BlockingIOError:
            pass

    def recv_msg(self):
        try:
            self.waiting += self.mav.parse_buffer(os.read(self.master, 4096)) or []
        except (BlockingIOError, OSError):
            pass
        return self.waiting.pop(0) if self.waiting else None


def connect():
    if args.link == "pty":
        pty = Pty()
        say(event="listening", at=pty.name)
        return pty
    kind = args.link.split(":")[0]
    link = mavutil.mavlink_connection(
        args.link, source_system=args.system, source_component=1, dialect="ardupilotmega"
    )
    if kind in ("udpin", "tcpin"):
        listener = link.port if kind == "udpin" else link.listen
        say(event="listening", at=listener.getsockname()[1])
    return link


def messages(mav, boot_ms, tick):
    """Everything a vehicle tells, by message id."""
    north = 1e-5 * tick  # about 1.1 m a tick
    lat, lon = int((args.lat + north) * 1e7), int(args.lon * 1e7)
    told = {
        2: lambda: mav.system_time_encode(int(time.time() * 1e6), boot_ms),
        24: lambda: mav.gps_raw_int_encode(
            int(time.time() * 1e6), 3, lat, lon, 42000, 85, 120, 0, 0, 14,
            **({"h_acc": 1250, "v_acc": 2000} if args.version == "2" else {})
        ),
        30: lambda: mav.attitude_encode(boot_ms, 0.0, 0.0, math.pi / 2, 0.0, 0.0, 0.0),
        33: lambda: mav.global_position_int_encode(
            boot_ms, lat, lon, 42000, 30000, 300, 400, 0, 9000
        ),
    }
    if args.mount:
        told[158] = lambda: mav.mount_status_encode(0, 0, -4500, 0, 3000)
    else:
        # Level, 30 degrees left of the nose, yaw in the vehicle's frame.
        half = math.radians(-30) / 2
        told[285] = lambda: mav.gimbal_device_attitude_status_encode(
            0, 0, boot_ms, 32, [math.cos(half), 0, 0, math.sin(half)], 0, 0, 0, 0,
            delta_yaw=math.nan
        )
    return told


def chatter(mav):
    """Others on the same link: a ground station, a companion, another vehicle, a tracker."""
    wrong = dict(relative_alt=0, vx=0, vy=0, vz=0, hdg=0)
    sent_by = (mav.srcSystem, mav.srcComponent)
    for system, component, kind, autopilot in [
        (255, 190, 6, 8), (args.system, 191, 18, 8), (9, 1, 2, 3), (8, 1, 5, 3),
    ]:
        mav.srcSystem, mav.srcComponent = system, component
        mav.heartbeat_send(kind, autopilot, 0, 0, 4)
        mav.global_position_int_send(1, 10000000, 10000000, 0, **wrong)
    mav.srcSystem, mav.srcComponent = sent_by


def main():
    link = connect()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    mav, begun, tick, asked = link.mav, time.monotonic(), 0, set()
    noise = random.Random(1)
    while True:
        try:
            while (got := link.recv_msg()) is not None:
                fields = got.to_dict()
                say(event="got", system=got.get_srcSystem(), component=got.get_srcComponent(),
                    boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME), name=got.get_type(), fields={k: v for k, v in fields.items() if k != "data"})
                if got.get_type() == "COMMAND_LONG" and got.command == 511:
                    mav.command_ack_send(511, args.ack)
                    if args.ack == 0:
                        asked.add(int(got.param1))
                if got.get_type() == "COMMAND_LONG" and got.command in (181, 183):
                    result = args.horn if got.param2 in (1.0, 1900.0) else 0
                    if result >= 0:
                        mav.command_ack_send(got.command, result)
                if got.get_type() == "REQUEST_DATA_STREAM":
                    asked |= {6: {33}, 2: {24}, 10: {30}, 12: {2, 158, 285}}[got.req_stream_id]
            if tick % 10 == 0:
                mav.heartbeat_send(2, 3, 0, 0, 4)
            if args.others:
                chatter(mav)
            boot_ms = int((args.up + time.monotonic() - begun) * 1000)
            for message_id, make in messages(mav, boot_ms, tick).items():
                if args.noise:
                    link.write(bytes(noise.choices([0xFD, 0xFE, *range(256)], k=40)))
                if not args.on_request or message_id in asked:
                    mav.send(make())
        except (BrokenPipeError, ConnectionError) as error:
            say(event="lost", why=str(error))
            return
        tick += 1
        time.sleep(0.1)


main()
