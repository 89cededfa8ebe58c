"""Requests of a lifecycle manager, served whatever state the node is in."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from stereo_depth_ros.excerpt import excerpt

_GOALS = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
}
_IDS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}

_Callback = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


class StateRequests:
    """Serves change_state of ``node``, which holds it, in place of rclpy.

    rclpy raises out of the spinning for a transition by id that the state does not allow. Here the
    response is success=False and a line in the log, unless the node is where the request leads. So
    that nav2's manager gets on with a node that started by itself, which it expects to be inactive
    after configure, that request deactivates an active node.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        for service in node.services:
            if service.srv_type is ChangeState:
                self._change: _Callback = service.callback
                service.callback = self._respond

    def _respond(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        asked, log = request.transition, self._node.get_logger()
        machine = self._node._state_machine
        state, state_label = machine.current_state
        # As in rclpy, a label counts before the number.
        if any(
            asked.label == label if asked.label else asked.id == number
            for number, label, *_ in machine.available_transitions
        ):
            return self._change(request, response)
        number = _IDS.get(asked.label) if asked.label else asked.id
        if _GOALS.get(number) == state:
            response.success = True
        elif number == Transition.TRANSITION_CONFIGURE and state == State.PRIMARY_STATE_ACTIVE:
            log.info("a manager configures the node, which is active; it is deactivated")
            response.success = self._node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        else:
            named = next((label for label, i in _IDS.items() if i == number), str(number))
            name = excerpt(asked.label, 100) or named
            allowed = ", ".join(label for _, label, *_ in machine.available_transitions)
            log.warning(
                f"lifecycle request '{name}' refused: the node is {state_label}, which allows "
                f"{allowed or 'nothing'}"
            )
            response.success = False
        return response
