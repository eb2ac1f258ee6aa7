"""Plugins written against Savu's contract, as its users write them."""

import numpy as np
import scipy.ndimage

from firstlight.compat.savu.stand_in import BaseFilter, BaseRecon, Driver, Plugin, register_plugin

calls = []


@register_plugin
class Dezinger(BaseFilter, Driver):
    """
    Replace what stands out of the same pixel in neighbouring projections by their median.

    :param outlier_mu: How far from the median is too far. Default: 10.0.
    :param kernel_size: Projections in the window. Default: 5.
    """

    def __init__(self):
        super().__init__("Dezinger")

    def pre_process(self):
        calls.append("pre")
        self.shape = self.get_in_datasets()[0].get_shape()

    def process_frames(self, data):
        stack = data[0]
        median = scipy.ndimage.median_filter(stack, (self.parameters["kernel_size"], 1, 1), mode="nearest")
        return np.where(np.abs(stack - median) > self.parameters["outlier_mu"], median, stack)

    def post_process(self):
        calls.append("post")

    def set_filter_padding(self, in_data, out_data):
        pad = (self.parameters["kernel_size"] - 1) // 2
        in_data[0].padding = {"pad_multi_frames": pad}
        out_data[0].padding = {"pad_multi_frames": pad}


class OldDezinger(BaseFilter):
    """
    One projection with its neighbours at a time, by the names of the first versions; the middle one comes back.

    :param outlier_mu: How far from the median is too far. Default: 10.0.
    :param kernel_size: Projections in the window. Default: 5.
    """

    def __init__(self, name):
        super().__init__(name)

    def get_max_frames(self):
        return "single"

    def get_filter_padding(self):
        return {"pad_multi_frames": (self.parameters["kernel_size"] - 1) // 2}

    def filter_frame(self, data):
        middle = data[len(data) // 2]
        median = np.median(data, axis=0)
        return np.where(np.abs(middle - median) > self.parameters["outlier_mu"], median, middle)


class Smooth(BaseFilter):
    """Blur projections, which need their surroundings. Parameters are in a class of their own."""

    def process_frames(self, data):
        assert data[0].ndim == 2
        return scipy.ndimage.uniform_filter(data[0], self.parameters["size"])

    def get_max_frames(self):
        return "single"

    def set_filter_padding(self, in_data, out_data):
        in_data[0].padding = {"pad_frame_edges": 4}


class SmoothTools:
    def define_parameters(self):
        """
        size:
            visibility: basic
            dtype: int
            description: Width of the window.
            default: 3
        """


class Columns(BaseFilter):
    """Subtract the mean over the angles from sinograms; three at a time, angle first."""

    def get_plugin_pattern(self):
        return "SINOGRAM"

    def get_max_frames(self):
        return 3

    def process_frames(self, data):
        assert data[0].ndim == 3
        return data[0] - data[0].mean(axis=0, keepdims=True)


class ByHand(Plugin, Driver):
    """Subtract the mean over the angles from sinograms: a plugin that derives from no filter, and asks about its frames.

    :param part: Part of the mean. Default: 1.0
    """

    def setup(self):
        (inside,), (outside,) = self.get_datasets()
        outside.create_dataset(inside)
        for each in self.get_plugin_datasets():
            each[0].plugin_data_setup("SINOGRAM", "single")

    def pre_process(self):
        frame, whole = self.get_plugin_in_datasets()[0], self.get_in_datasets()[0]
        self.angles, self.columns = frame.get_shape()
        assert whole.get_shape()[2] == self.columns
        assert frame.get_data_dimension_by_axis_label("detector_x") == 1
        assert whole.get_data_dimension_by_axis_label("detector_x") == 2

    def process_frames(self, data):
        assert data[0].shape == (self.angles, self.columns)
        return data[0] - self.parameters["part"] * data[0].mean(axis=0)


class AsksForRows(ByHand):
    def pre_process(self):
        self.get_plugin_in_datasets()[0].get_data_dimension_by_axis_label("detector_y")


class Sums(BaseRecon):
    """A back-projection without a filter, by rotating lines: enough to see whether angles and centre arrive."""

    def process_frames(self, data):
        center, angles, shape, _ = self.get_frame_params()
        y, x = np.mgrid[: shape[0], : shape[1]]
        x, y = x - (shape[1] - 1) / 2, (shape[0] - 1) / 2 - y
        found = np.zeros(shape)
        for line, angle in zip(data[0], np.deg2rad(angles), strict=True):
            found += np.interp(x * np.cos(angle) + y * np.sin(angle) + center, np.arange(len(line)), line)
        return found


class Wrong(BaseFilter):
    def process_frames(self, data):
        return data[0][..., :-1]


class AsksForDarks(BaseFilter):
    def pre_process(self):
        self.get_in_datasets()[0].data.dark()

    def process_frames(self, data):
        return data[0]


class Spectra(BaseFilter):
    def get_plugin_pattern(self):
        return "SPECTRUM"


class Two(BaseFilter):
    def nInput_datasets(self):
        return 2


class OddPadding(BaseFilter):
    def set_filter_padding(self, in_data, out_data):
        in_data[0].padding = {"pad_directions": ["1.3"]}
