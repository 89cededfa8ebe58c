"""How often what is drawn, and in which sizes: the distributions of rendered scenes."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class SceneMix:
    """Distributions that `stereo_depth_ros.scenes.synthetic.layout.draw` draws from.

    A range is drawn from evenly, one of sizes evenly in the logarithm. What ends in ``_share`` is
    how often something is there. Lengths are shares of the image width unless said otherwise,
    angles in rad; turns are standard deviations. By default the statistics of images, disparities
    and SGBM's answers are near those of real cameras.
    """

    # Camera and distances, as disparities
    focal: Range = (0.6, 1.4)
    near_share: float = 0.25
    nearest_if_near: Range = (0.12, 0.3)
    nearest: Range = (0.03, 0.12)
    farthest: Range = (0.002, 0.08)
    pitch: Range = (-0.3, 0.3)
    roll: float = 0.08

    # Room or street
    outdoors_share: float = 0.35
    floor: Range = (0.15, 0.9)  # its largest disparity, of the nearest
    floor_share_outdoors: float = 0.95
    floor_share_indoors: float = 0.75
    far_wall_share: float = 0.9
    far_wall_turn: float = 0.45
    far_wall_lean: float = 0.15
    side_wall_share: float = 0.3
    side_wall_distance: Range = (0.7, 6.0)  # in heights of the eye
    ceiling_share: float = 0.3
    ceiling_distance: Range = (0.6, 4.0)  # in heights of the eye

    # Things
    busyness: Range = (0.1, 1.0)  # share of the things that are there
    column: Range = (-0.6, 0.6)  # of the image
    row: Range = (-0.55, 0.6)
    size: Range = (0.02, 0.28)
    aspect: Range = (0.45, 2.2)
    card_scale: float = 1.6  # times the size of other things
    pane_scale: float = 2.5
    upright_share: float = 0.6
    rod_upright_share: float = 0.7
    rod_thickness_px: Range = (0.6, 6.0)
    rod_length: Range = (0.08, 0.8)
    cylinder_share: float = 0.5
    card_turn: float = 0.5
    pane_turn: float = 0.3
    pane_share: float = 0.12
    pane_opacity: Range = (0.35, 0.8)

    # Light and sky
    ambient: Range = (0.3, 0.8)
    shade: Range = (0.0, 0.6)
    shade_steepness: Range = (2.0, 30.0)
    shade_waves: Range = (0.01, 0.06)
    sky_brightness: Range = (0.3, 1.0)
    sky_tint: Range = (-0.15, 0.15)
    burnt_sky_share: float = 0.4
    burnt_sky: Range = (1.3, 4.0)
    clouds_share: float = 0.4
    clouds: Range = (0.0, 0.5)
    dots_share: float = 0.06
    dots: Range = (0.2, 0.6)

    # Materials
    repetitive_share: float = 0.05
    repetitive_tile_px: Range = (12.0, 50.0)
    tile_px: Range = (100.0, 500.0)
    contrast: Range = (0.7, 1.5)
    white_share: float = 0.05  # these three lie within each other
    bare_share: float = 0.08
    faint_share: float = 0.2
    white: Range = (0.6, 0.95)
    bare_contrast: Range = (0.0, 0.02)
    faint_contrast: Range = (0.05, 0.5)
    grey: Range = (0.12, 0.85)
    tint: Range = (-0.18, 0.18)
    gloss_share: float = 0.3
    gloss: Range = (0.1, 0.6)
    mirror_share: float = 0.04
    mirror: Range = (0.15, 0.6)
