import io
import json
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

pytestmark = pytest.mark.timeout(60)


def test_health(service):
    found = service.http.get("/health").json()
    assert found["name"] == "firstlight"
    assert found["runs"] == 0
    service.start(frames=None)
    found = service.http.get("/health").json()
    assert found["runs"] == 1
    stall = found["loop_stall_ms"]
    assert 0 <= stall["own_max_last_minute"] <= stall["max_last_minute"]
    assert stall["own_max_last_minute"] < 1000


def test_a_run_from_start_to_stop(service):
    run = service.start(frames=None, rate=100)
    assert [item["id"] for item in service.http.get("/runs").json()] == [run]
    detail = service.until(run, lambda found: found["counts"]["done"] > 0)
    assert detail["state"] == "running"
    assert detail["views"][0]["follows"] == {"z": "slices.z"}
    assert detail["views"][0]["shape"] == [48, 64]
    assert detail["steps"][0]["schema"]["properties"]["z"]["minimum"] == 0
    assert detail["steps"][0]["title"] == "Live slices"
    assert detail["values"] == {"find_center.center": 234.5, "odd.value": None}
    assert detail["latency_ms"] == {"p50": 1, "p95": 2, "p99": 3}
    assert detail["statistics"] == {"slices": {"min": -1.0, "max": None}}
    assert detail["faults"] == {"slices": {"nan": {"frames": 3, "first": 17}}}
    assert detail["job"]["name"] == "made up"
    stopped = service.http.post(f"/runs/{run}/stop")
    assert stopped.status_code == 200
    detail = service.wait_for(run, "stopped")
    assert detail["ended"] >= detail["started"]
    assert service.http.get(f"/runs/{run}/report").json()["done"] == detail["counts"]["done"]
    assert service.http.post(f"/runs/{run}/stop").status_code == 200  # harmless


def test_parameters(service):
    run = service.start(frames=None)
    answer = service.http.patch(f"/runs/{run}/parameters", json={"slices": {"z": 7}})
    assert answer.status_code == 200
    assert set(answer.json()) == {"epoch", "id"}
    change = service.http.get(f"/runs/{run}").json()["changes"][0]
    assert (change["old"], change["new"], change["id"]) == (5, 7, answer.json()["id"])
    refused = service.http.patch(f"/runs/{run}/parameters", json={"slices": {"z": -3}})
    assert refused.status_code == 422
    assert refused.json()["error"] | {"message": ""} == {
        "field": "slices.z", "value": -3, "expected": "a whole number ≥ 0", "message": "", "next": "",
    }  # fmt: skip
    assert service.http.patch(f"/runs/{run}/parameters", json={"other": {"z": 1}}).status_code == 422
    assert service.http.patch(f"/runs/{run}/parameters", json=[1]).status_code == 422
    assert service.http.patch(f"/runs/{run}/parameters", json={"slices": 3}).status_code == 422
    service.http.post(f"/runs/{run}/stop")
    service.wait_for(run, "stopped")
    assert service.http.patch(f"/runs/{run}/parameters", json={"slices": {"z": 1}}).status_code == 409


def test_every_mistake_of_a_job_is_listed(service):
    answer = service.http.post("/runs", json={"job": {"fake": {"problems": ["one", "two", "three"]}}})
    assert answer.status_code == 422
    assert answer.json()["problems"] == ["one", "two", "three"]
    assert "3 mistakes" in answer.json()["error"]["message"]
    assert service.http.get("/runs").json() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"job": 3}', b'{"job": {}, "more": 1}', b"\xff", b"{}"])
def test_bodies_that_make_no_sense(endless, body):
    answer = endless.http.post("/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


def test_unknown_places(endless):
    none = f"/runs/{endless.run}/views/none.png"
    for path in ("/runs/nothing", "/runs/..%2f..", none, "/nothing", "/runs/nothing/log"):
        answer = endless.http.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["error"]["message"], path


def test_a_run_that_fails_says_why(service):
    run = service.start(frames=50, fail_at=5)
    detail = service.wait_for(run, "failed")
    assert "frame 5" in detail["error"]
    assert "frame 5" in service.http.get("/runs").json()[0]["error"]


def test_a_killed_run_process_is_told_and_the_service_goes_on(service):
    run = service.start(frames=None, rate=50)
    folder = service.supervisor.run(run).folder
    while (kept := folder.last_status()) is None or not kept.counts.done or len(folder.log()) < 2:
        time.sleep(0.02)
    service.supervisor.run(run).kill()
    detail = service.wait_for(run, "crashed")
    assert "SIGKILL" in detail["error"]
    assert "frames" in detail["error"]
    assert detail["counts"]["done"] > 0
    assert service.http.get("/health").json()["runs"] == 0
    service.start(frames=5)


def test_the_log(service):
    run = service.start(frames=30, rate=200)
    service.wait_for(run, "done")
    log = service.http.get(f"/runs/{run}/log").json()
    assert [line["n"] for line in log["lines"]] == list(range(log["next"]))
    assert log["lines"][0]["text"] == "The run has started."
    rest = service.http.get(f"/runs/{run}/log?after=2").json()
    assert rest["lines"] == log["lines"][2:]
    assert service.http.get(f"/runs/{run}/log?after=-1").status_code == 422


def test_downloads(service):
    run = service.start(frames=3, nan=True)
    service.wait_for(run, "done")
    array = np.load(io.BytesIO(service.http.get(f"/runs/{run}/views/slices.xy.npy").content))
    assert array.shape == (48, 64)
    np.testing.assert_array_equal(
        tifffile.imread(io.BytesIO(service.http.get(f"/runs/{run}/views/slices.xy.tiff").content)), array
    )
    answer = service.http.get(f"/runs/{run}/views/slices.xy.png?colormap=gray&low=5000&high=10000")
    assert answer.headers["content-disposition"].startswith("attachment")
    image = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert image.shape == (48, 64, 4)
    assert not image[:4, :, 3].any()  # NaN is transparent
    assert image[4:, :, 3].all()
    expected = np.clip((array[4:] - 5000) * 256 / 5000, 1, 255).astype(int)
    np.testing.assert_array_equal(image[4:, :, 0], expected)
    assert service.http.get(f"/runs/{run}/views/profile.png").status_code == 200
    assert service.http.get(f"/runs/{run}/views/slices.xy.png?colormap=nice").status_code == 422
    assert service.http.get(f"/runs/{run}/views/slices.xy.png?low=abc").status_code == 422


def test_colors_are_those_of_the_web_pages():
    from firstlight.faces.rest.download import color_tables

    tables = color_tables()
    assert set(tables) == {"gray", "viridis", "inferno", "magma", "plasma", "cividis", "turbo", "rdbu", "cyclic"}
    assert all(table.shape == (256, 3) for table in tables.values())
    assert tuple(tables["viridis"][0]) == (0x44, 0x01, 0x54)


@pytest.mark.timeout(180)
def test_the_catalogue(service):
    found = service.http.get("/catalogue", timeout=120).json()
    assert set(found) == {"operators", "sources", "sinks", "views"}
    for plugin in (item for kind in found.values() for item in kind):
        assert plugin["summary"] or plugin["missing"]


def test_the_schema_is_complete(service):
    schema = service.http.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, described in methods.items():
            assert described.get("summary"), (method, path)
            for parameter in described.get("parameters", []):
                assert parameter.get("description") or parameter["schema"].get("description"), (method, path, parameter)
    models = schema["components"]["schemas"]
    assert {"RunDetail", "ViewHeader", "ViewRequest", "RunEvent", "Refusal"} <= set(models)
    for name, model in models.items():
        if name in ("HTTPValidationError", "ValidationError"):
            continue
        assert model.get("description"), name
        for field, described in model.get("properties", {}).items():
            assert described.get("description"), (name, field)
            refers = "$ref" in json.dumps(described)
            assert refers or "examples" in described, (name, field)
    references = {part.split('"')[0] for part in json.dumps(schema).split("#/components/schemas/")[1:]}
    assert references <= set(models)


def test_pages_say_how_to_build_them(make_service, tmp_path):
    service = make_service(static=tmp_path / "none")
    answer = service.http.get(f"http://{service.address}/")
    assert "make install" in answer.text
    assert service.http.get(f"http://{service.address}/runs/abc").status_code == 200


def test_built_pages_are_served(make_service, tmp_path):
    pages = tmp_path / "static"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<!doctype html>the page")
    (pages / "assets" / "main-abc.js").write_text("script")
    (tmp_path / "secret").write_text("secret")
    service = make_service(static=pages)
    root = f"http://{service.address}"
    assert service.http.get(root + "/").text.endswith("the page")
    assert service.http.get(root + "/runs/abc/view").text.endswith("the page")
    script = service.http.get(root + "/assets/main-abc.js")
    assert script.text == "script"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["x-content-type-options"] == "nosniff"
    assert service.http.get(root + "/api/v2/none").status_code == 404
    assert "secret" not in service.http.get(root + "/%2e%2e/secret").text
