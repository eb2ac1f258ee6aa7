"""Settings as other programs write them."""

import json

import h5py
import numpy as np


def savu_list(path, plugins, *, old=False):
    """A process list as savu_config writes it."""
    with h5py.File(path, "w") as file:
        file["entry/savu_notes/version"] = np.array([b"4.0"])
        for number, (name, data, *rest) in enumerate(plugins, 1):
            group = file.create_group(f"entry/plugin/{number:>2}" if old else f"entry/plugin/{number}")
            group["name"] = np.array([name.encode()])
            group["id"] = np.array([b"savu.plugins.module"])
            group["active"] = np.array([rest[0] if rest else True])
            group["data"] = np.array([json.dumps(data).encode()])
    return path


SAVU = [
    (
        "NxtomoLoader",
        {
            "data_path": "entry1/tomo_entry/data/data",
            "image_key_path": "entry1/tomo_entry/instrument/detector/image_key",
            "preview": [":", "mid-5:mid+6", "300:end-300"],
            "dark": [None, None, 1],
            "angles": None,
        },
    ),
    ("DarkFlatFieldCorrection", {"in_datasets": [], "out_datasets": [], "pattern": "PROJECTION"}),
    ("Dezinger", {"kernel_size": 5}, False),
    ("RavenFilter", {"uvalue": 20, "vvalue": 1, "nvalue": 8, "padFT": 20}),
    ("VoCentering", {"preview": [], "search_area": [-50, 50], "ratio": 0.5, "step": 0.5}),
    (
        "AstraReconCpu",
        {
            "algorithm": "FBP",
            "FBP_filter": "ram-lak",
            "centre_of_rotation": 0.0,
            "log": True,
            "ratio": 0.95,
            "n_iterations": "1;2;5",
        },
    ),
    ("HilbertFilter", {}),
    ("ImageSaver", {}),
]


HTTOMO = """
- method: standard_tomo
  module_path: httomo.data.hdf.loaders
  parameters:
    data_path: entry1/tomo_entry/data/data
    image_key_path: entry1/tomo_entry/instrument/detector/image_key
    rotation_angles: {user_defined: {start_angle: 0, stop_angle: 180, angles_total: 181}}
    preview:
      detector_y: {start: 30, stop: 60}
      detector_x: {start: begin, start_offset: 10, stop: end, stop_offset: -10}
- method: find_center_vo
  module_path: httomolibgpu.recon.rotation
  parameters: {ind: mid, step: 0.25}
  id: centering
  side_outputs: {cor: centre_of_rotation}
- method: dark_flat_field_correction
  module_path: httomolibgpu.prep.normalize
  parameters: {}
- method: minus_log
  module_path: httomolibgpu.prep.normalize
  parameters: {}
- method: remove_stripe_based_sorting
  module_path: httomolibgpu.prep.stripe
  parameters: {size: !Sweep [11, 21]}
- method: FBP3d_tomobar
  module_path: httomolibgpu.recon.algorithm
  parameters: {center: "${{centering.side_outputs.centre_of_rotation}}", filter_freq_cutoff: 0.35, recon_mask_radius: 0.95, neglog: false}
  save_result: true
- method: total_variation_PD
  module_path: httomolibgpu.misc.denoise
  parameters: {regularisation_parameter: 1.0e-05}
- method: calculate_stats
  module_path: httomo.methods
  parameters: {}
- method: save_intermediate_data
  module_path: httomo.methods
  parameters: {}
- method: rescale_to_int
  module_path: httomolib.misc.rescale
  parameters: {perc_range_min: 0.0, perc_range_max: 100.0, bits: 16, glob_stats: "${{statistics.side_outputs.glob_stats}}"}
- method: save_to_images
  module_path: httomolib.misc.images
  parameters: {subfolder_name: images, axis: auto, file_format: tif}
"""


TOFU = """
[general]
verbose = False
[reading]
y = 10
height = 20
y-step = 2
number = 720
[flat-correction]
projections = scan/radios
darks = scan/darks
flats = scan/flats
absorptivity = True
[retrieve-phase]
energy = {energy}
propagation-distance = 0.3
pixel-size = 1e-6
regularization-rate = 2.0
[general-reconstruction]
overall-angle = 180
center-position-x = 1024.5
axis-angle-x = {tilt}
projection-filter = ramp-fromreal
"""


TOMOCUPY = """
[file-reading]
file-name = {file}
file-type = standard
[remove-stripe]
remove-stripe-method = vo-all
vo-all-snr = 3.0
vo-all-la-size = 61
vo-all-sm-size = 21
[reconstruction-types]
reconstruction-algorithm = fourierrec
[reconstruction]
rotation-axis = {axis}
rotation-axis-auto = {auto}
rotation-axis-method = vo
start-row = 1
end-row = 3
fbp-filter = parzen
dezinger = 3
dezinger-threshold = 5000
pixel-size = 2.0
lamino-angle = 0.0
bright-ratio = 1
"""
