"""From a pair of images to everything that is published: the one place that knows the order."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import cv2
import numpy as np

from stereo_depth_ros import filters
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine
from stereo_depth_ros.fit import Fit, resize_nearest
from stereo_depth_ros.outputs import Output, make_outputs
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.pair_preparation import PreparedPair, prepare_pair
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.same_view import Views
from stereo_depth_ros.settings import Settings
from stereo_depth_ros.stage_times import time_stage
from stereo_depth_ros.stereo_match import StereoMatch
from stereo_depth_ros.vergence import count_columns, extend_view


class StereoResult(NamedTuple):
    """A match and the outputs that were made of it.

    Attributes
    ----------
    match
        Of the pair.
    outputs
        As `make_outputs` returns them.
    """

    match: StereoMatch
    outputs: dict[Output, np.ndarray]


class StereoPipeline:
    """Runs one engine on frames of any size.

    Parameters
    ----------
    engine
        What matches; stays its owner's to close. May be replaced between frames.
    settings
        Limits and filters, by default those of `Settings`. May be replaced between frames.
    monitor
        With one, nothing is made of pairs that can only give wrong depth.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        monitor: PairMonitor | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings or Settings()
        self.monitor = monitor
        self._previous: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._stream: object = None
        self._restarts = 0

    def restart(self) -> None:
        """Let the next frame be the first of a new stream; may be called from any thread."""
        self._restarts += 1

    def process(
        self,
        left: np.ndarray,
        right: np.ndarray,
        camera: StereoCamera,
        outputs: Collection[Output],
        rectify: tuple[RectificationMap, RectificationMap] | None = None,
    ) -> StereoResult:
        """Match a pair and make outputs of it.

        Parameters
        ----------
        left, right, camera, rectify
            As of `match`.
        outputs
            Which to make, and no others.

        Returns
        -------
        StereoResult
            The match and its outputs.

        Raises
        ------
        FrameError, EngineError
            As `match`.
        """
        match = self.match(left, right, camera, rectify)
        return StereoResult(match, make_outputs(match, outputs))

    def match(
        self,
        left: np.ndarray,
        right: np.ndarray,
        camera: StereoCamera,
        rectify: tuple[RectificationMap, RectificationMap] | None = None,
    ) -> StereoMatch:
        """Match a pair.

        Parameters
        ----------
        left, right
            (H, W, 3) uint8 RGB.
        camera
            Geometry of the rectified pair.
        rectify
            The maps of raw images, None for rectified ones.

        Returns
        -------
        StereoMatch
            At the size that ``settings.output_resolution`` names.

        Raises
        ------
        FrameError
            When the sizes of images and camera differ, or the monitor refuses the pair.
        EngineError
            When the engine fails.
        """
        self._forget_other_streams(camera)
        return self.match_prepared(prepare_pair(left, right, camera, rectify, self.monitor))

    def match_prepared(self, pair: PreparedPair) -> StereoMatch:
        """Match a pair that `prepare_pair` let pass.

        Parameters
        ----------
        pair
            Of any size.

        Returns
        -------
        StereoMatch
            As of `match`; its ``seconds`` go on from those of ``pair``.

        Raises
        ------
        EngineError
            When the engine fails.
        """
        left, right, camera = pair.left, pair.right, pair.camera
        self._forget_other_streams(camera)
        seconds = dict(pair.seconds)
        settings, spec = self.settings, self.engine.spec
        verge, fit = self._plan(camera, settings)
        at_input = settings.output_resolution == "input"
        with time_stage(seconds, "fit"):
            small_left = fit.shrink(extend_view(left, verge, 0))
            left_input = fit.pad(small_left)
            right_input = fit.pad(fit.shrink(extend_view(right, 0, verge)))
        with time_stage(seconds, "inference"):
            disparity, confidence = self.engine.infer(left_input, right_input)
            back = self._right_view(left_input, right_input) if settings.lr_check else None
        with time_stage(seconds, "filters"):
            disparity, confidence = fit.crop(disparity), fit.crop(confidence)
            valid = filters.confident(confidence, settings.confidence_threshold)
            valid &= np.isfinite(disparity)
            if back is not None:
                tolerance = settings.lr_tolerance * (fit.scale if at_input else 1.0)
                valid &= filters.left_right_consistent(disparity, fit.crop(back), tolerance)
            if at_input:
                image, margin, scale = left, verge, 1.0
                disparity = fit.enlarge_disparity(disparity)
                confidence, valid = fit.enlarge_nearest(confidence), fit.enlarge_nearest(valid)
            else:
                scale, margin = fit.scale, round(verge * fit.scale)
                image = small_left[:, margin:]
            disparity = disparity[:, margin:] - np.float32(verge * scale)
            confidence, valid = confidence[:, margin:], valid[:, margin:]
            output_camera = self.output_camera(camera, settings)
            evidence = filters.not_black_border(left, right)
            if pair.inside is not None:
                evidence &= pair.inside
            if not at_input:
                evidence = resize_nearest(evidence, *valid.shape[::-1])
            if pair.views in (Views.SAME, Views.INDISTINCT):
                # Where nothing shows parallax, none is no proof of distance.
                evidence &= output_camera.depth(disparity) <= settings.max_depth
            confidence, valid = np.where(evidence, confidence, np.float32(0)), valid & evidence
            disparity, valid = self._filter(disparity, valid, image, settings)
        search = (spec.max_disparity or fit.inner_width / 3) * scale / fit.scale
        return StereoMatch(
            camera=output_camera,
            settings=settings,
            max_disparity=search - verge * scale - output_camera.offset,
            image=image,
            disparity=disparity,
            confidence=confidence,
            valid=valid,
            seconds=seconds,
        )

    def _forget_other_streams(self, camera: StereoCamera) -> None:
        """Forget earlier frames unless they came through the same camera, engine and run."""
        stream = (camera, self.engine.spec, self._restarts)
        if stream != self._stream:
            self._stream, self._previous = stream, None
            if self.monitor is not None:
                self.monitor.forget()

    def input_size(self, camera: StereoCamera) -> tuple[int, int] | None:
        """Find for which size the engine should be opened, if its graph leaves that open.

        Parameters
        ----------
        camera
            Geometry of the rectified pair.

        Returns
        -------
        tuple of int or None
            Height and width in px, None where the engine has a size of its own or needs none.
        """
        sizes = self.engine.spec.sizes
        if sizes is None:
            return None
        width = camera.width + count_columns(camera)
        fit = Fit.plan_any_size(width, camera.height, sizes, self.settings.max_side)
        return fit.engine_height, fit.engine_width

    def output_camera(self, camera: StereoCamera, settings: Settings) -> StereoCamera:
        """Find the geometry of the outputs.

        Parameters
        ----------
        camera
            Geometry of the rectified pair.
        settings
            Those that the outputs are made with.

        Returns
        -------
        StereoCamera
            Of the outputs' size.
        """
        if settings.output_resolution == "input":
            return camera
        verge, fit = self._plan(camera, settings)
        extended = fit.camera(camera.crop(-verge, 0, fit.width, fit.height))
        margin = round(verge * fit.scale)
        return extended.crop(margin, 0, fit.inner_width - margin, fit.inner_height)

    def _plan(self, camera: StereoCamera, settings: Settings) -> tuple[int, Fit]:
        """Return by how many columns the views are moved apart, and how they fit the engine."""
        verge = count_columns(camera)
        spec, width = self.engine.spec, camera.width + verge
        if spec.height is None and spec.sizes is not None:
            fit = Fit.plan_any_size(width, camera.height, spec.sizes, settings.max_side)
        else:
            fit = Fit.plan(width, camera.height, spec.width, spec.height)
        return verge, fit

    def _right_view(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        # Mirrored and exchanged, the right view is a left view that the same engine can match.
        mirrored, _ = self.engine.infer(right[:, ::-1], left[:, ::-1])
        return mirrored[:, ::-1]

    def _filter(
        self, disparity: np.ndarray, valid: np.ndarray, image: np.ndarray, settings: Settings
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the disparity smoothed over time, and what the filters leave of ``valid``."""
        if settings.temporal_gain >= 1.0:
            self._previous = None
            return disparity, _filter_valid(disparity, valid, settings)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._previous is not None and self._previous[0].shape == disparity.shape:
            disparity = filters.blend_over_time(
                disparity, grey, valid, self._previous, settings.temporal_gain
            )
        valid = _filter_valid(disparity, valid, settings)
        self._previous = disparity, grey, valid
        return disparity, valid


def _filter_valid(disparity: np.ndarray, valid: np.ndarray, settings: Settings) -> np.ndarray:
    if settings.edge_filter > 0:
        left = np.where(valid, disparity, np.float32(np.nan))
        valid = valid & filters.not_flying(left, settings.edge_filter)
    if settings.speckle_size > 0:
        left = np.where(valid, disparity, np.float32(np.nan))
        valid = valid & filters.not_speckle(left, settings.speckle_size, settings.speckle_step)
    if settings.roi:
        valid = valid & filters.inside_polygon(settings.roi, *disparity.shape)
    return valid
