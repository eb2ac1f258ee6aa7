"""Run by pty-chi's own Python: the loss of a product of ptychodus as it is, and with its geometry spoiled. No step is taken."""

# pyright: reportMissingImports=false

import json
import logging
import sys
import types

import h5py
import numpy as np

# pty-chi needs one class of torchvision, whose wheels do not load beside a CPU torch: a stub stands in
vision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
transforms.GaussianBlur, vision.transforms = object, transforms  # type: ignore[attr-defined]
sys.modules.update({"torchvision": vision, "torchvision.transforms": transforms})
import ptychi.api as api  # noqa: E402
import torch  # noqa: E402
from ptychi.api.task import PtychographyTask  # noqa: E402

logging.disable(logging.WARNING)
torch.set_num_threads(1)
with h5py.File(sys.argv[1]) as file:
    made, probe, pixel = file["object"][()], file["probe"][()], float(file["object"].attrs["pixel_height_m"])
    places = {
        # the middle of n pixels is (n − 1)/2 to ptychodus, and round(n/2) − 1/2 to pty-chi
        axis: (file[f"probe_position_{axis}_m"][()] - file["object"].attrs[f"center_{axis}_m"]) / pixel
        + (count / 2 - round(count / 2))
        for axis, count in zip("yx", made.shape[-2:], strict=True)
    }
with h5py.File(sys.argv[2]) as file:
    patterns = np.where(file["bad_pixels"][()], 0, file["patterns"][()]).astype(np.float32)
# its transforms are not normalised
probe = torch.from_numpy((probe / patterns.shape[-1]).astype(np.complex64))


def loss(image, y, x):
    options = api.EPIEOptions()
    options.object_options.pixel_size_m, options.object_options.step_size = pixel, 1e-9
    options.object_options.optimizable, options.probe_options.optimizable = True, False
    options.probe_position_options.optimizable = False
    options.reconstructor_options.batch_size, options.reconstructor_options.num_epochs = len(patterns), 1
    options.reconstructor_options.default_device = api.Devices.CPU
    task = PtychographyTask(
        options,
        diffraction_data=patterns,
        object_data=torch.from_numpy(image.astype(np.complex64)),
        probe_data=probe,
        probe_position_x_px=torch.tensor(x),
        probe_position_y_px=torch.tensor(y),
    )
    task.run()
    return float(task.reconstructor.loss_tracker.table["loss"].iloc[-1])


y, x = places["y"], places["x"]
found = {
    "given": loss(made, y, x),
    "nothing": loss(np.ones_like(made), y, x),
    "swapped": loss(made, x, y),
    "mirrored": loss(made, y, -x),
    "a pixel off": loss(made, y + 1, x + 1),
}
sys.stdout.write(json.dumps(found))
