"""Write the recording with ptychodus 1.7.0: its object, its probe, its forward model, its writers.

Run with the Python of an environment that has ptychodus: python write_ptychodus.py FOLDER
"""

# pyright: reportMissingImports=false

import sys
from pathlib import Path

import numpy as np
from ptychodus.api.assemble import AssembledDiffractionData
from ptychodus.api.geometry import ImageExtent, PixelGeometry
from ptychodus.api.io import save_diffraction_data, save_product
from ptychodus.api.object import ObjectGeometry
from ptychodus.api.probe import ProbeGeometry, ProbeSequence
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.product import Product, ProductMetadata
from ptychodus.api.simulate.diffraction import generate_diffraction_data
from ptychodus.api.simulate.object import generate_siemens_star_object
from ptychodus.api.simulate.probe import FresnelZonePlate, generate_fresnel_zone_plate_probe, rescale_probe_intensity
from ptychodus.api.simulate.probe_positions import generate_cartesian_probe_positions

SIZE, PHOTONS = 32, 1e5

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(3)
metadata = ProductMetadata("star", "", 2.0, 9000.0, 1e6, 0.1, 0.0, 0.0)
wave = metadata.photon_wavelength_m
geometry = ProbeGeometry.from_far_field(
    PixelGeometry(75e-6, 75e-6), ImageExtent(SIZE, SIZE), wavelength_m=wave, distance_m=2.0
)
step = geometry.pixel_width_m
plate = FresnelZonePlate(
    zone_plate_diameter_m=160e-6, outermost_zone_width_m=3.0 * step, central_beamstop_diameter_m=40e-6
)
probe = generate_fresnel_zone_plate_probe(geometry, plate, photon_wavelength_m=wave, defocus_distance_m=3.5e-3)
probe = rescale_probe_intensity(probe, 1e6)
raster = generate_cartesian_probe_positions(9, 8, 4 * step, 4 * step, snake=True)
places = [
    ProbePosition(each.index, each.x_m + rng.uniform(-0.8, 0.8) * step, each.y_m + rng.uniform(-0.8, 0.8) * step)
    for each in raster
]
star = generate_siemens_star_object(
    ObjectGeometry(72, 70, step, step, 0.3 * step, -0.2 * step),
    num_spokes=9,
    outer_radius_fraction=0.9,
    spoke_amplitude=0.8,
    background_amplitude=1.0,
    spoke_phase_tr=0.1,
    background_phase_tr=0.0,
)
probes = ProbeSequence(probe.get_array(), None, probe.get_pixel_geometry())
product = Product(metadata, ProbePositionSequence(places), probes, star, [])
made = generate_diffraction_data(product)
expected = made.get_patterns() * (PHOTONS * len(places) / made.get_patterns().sum())
patterns = rng.poisson(expected).astype(np.uint16)
bad = np.zeros((SIZE, SIZE), bool)
bad[5, 9] = True
patterns[:, bad] = 60000
save_diffraction_data(
    out / "diffraction.h5",
    AssembledDiffractionData(np.arange(len(places)), patterns, made.get_pixel_geometry(), bad),
    compression="gzip",
)
save_product(out / "product.h5", product)
noise = ((np.sqrt(expected) - np.sqrt(patterns)) ** 2)[:, ~bad].sum() / patterns[:, ~bad].sum()
sys.stdout.write(f"the noise of photons leaves {noise:.5f}\n")
