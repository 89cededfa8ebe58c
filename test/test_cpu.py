"""What the CPU is called."""

from stereo_depth_ros import cpu


def test_name_is_that_of_the_first_core(tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPU_INFO", file)
    file.write_text("processor\t: 0\nmodel name\t: Core 7 \nflags\t: fpu\nmodel name\t: Core 9\n")

    assert cpu.name_cpu() == "Core 7"


def test_cpu_that_does_not_say_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "_CPU_INFO", tmp_path / "absent")
    assert cpu.name_cpu() == "unknown"

    monkeypatch.setattr(cpu, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 48.00\n")  # as on Arm
    assert cpu.name_cpu() == "unknown"
