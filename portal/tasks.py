"""What the workers do for the operators."""

from typing import Any

from celery import Task, shared_task

from portal import queues


@shared_task(name="portal.send_canaries")
def send_canaries() -> None:
    """Send a canary into each queue in which none waits (on beat, every half minute)."""
    for queue in queues.without_canary():
        canary.apply_async(queue=queue)


@shared_task(name="portal.canary", bind=True)
def canary(self: "Task[Any, Any]") -> None:
    """Note that the queue through which this task came does work."""
    queues.note_canary(str((self.request.delivery_info or {}).get("routing_key", "")))
