import threading

from stereo_depth_ros.engines.tensorrt.progress import BuildProgress, Phases


def test_steps_of_the_outermost_phase_are_equal_shares():
    phases = Phases()

    assert phases.begin("build", None, 4) == 0
    assert [phases.step("build", index) for index in range(4)] == [25, 50, 75, 100]


def test_phase_within_a_step_fills_part_of_it():
    phases = Phases()
    phases.begin("build", None, 2)
    phases.begin("clone", "build", 10)

    halfway = phases.step("clone", 4)
    phases.end("clone")
    second = phases.begin("optimise", "build", 1)

    assert 0 < halfway < second < 50
    assert phases.step("build", 0) == 50


def test_percentage_never_falls_and_stays_below_what_the_step_allows():
    phases = Phases()
    seen = [phases.begin("build", None, 3)]
    for step in range(3):
        for name in ("a", "b", "c", "d"):
            seen.append(phases.begin(name, "build", 5))
            seen += [phases.step(name, index) for index in range(2)]
            # Phases may end before their last step.
            seen.append(phases.end(name))
        assert seen[-1] < 100 * (step + 1) / 3
        seen.append(phases.step("build", step))

    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_phases_of_several_threads_do_not_disturb_each_other():
    phases = Phases()
    phases.begin("build", None, 1)
    failures = []

    def work(name):
        try:
            for _ in range(200):
                phases.begin(name, "build", 3)
                phases.step(name, 1)
                phases.end(name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"phase {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert phases.step("build", 0) == 100


def test_step_of_a_phase_that_ended_is_ignored():
    phases = Phases()
    phases.begin("build", None, 2)

    assert phases.step("gone", 5) == 0
    assert phases.end("gone") == 0


def test_progress_reads_as_a_sentence_with_and_without_a_percentage():
    assert str(BuildProgress(41.6, 73.2, "Timing tactics")) == "Timing tactics: 42 %, 73 s"
    assert str(BuildProgress(None, 73.2, "building")) == "building: 73 s"
