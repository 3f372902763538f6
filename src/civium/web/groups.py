"""The atomicityGroup of a JSON Batch: its requests become one change of the catalogue, and Observations after it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from civium.core import InputRefused
from civium.engines.catalog import Catalog
from civium.sources.changes import Edits
from civium.sources.permits import permit_corrections, permit_edits, permit_made
from civium.sources.sensorthings.groups import Group, Step, blamed, plan_group
from civium.sources.sensorthings.read import read
from civium.web.amending import check_days, correct, library
from civium.web.doors import caller_of, city_of
from civium.web.posts import root_of
from civium.web.rules import Need, NotAllowed, meets


async def make(request: Request, steps: Sequence[Step], made: dict[str, str]) -> list[dict[str, Any]]:
    """Do all steps, or none; their answers. What they make comes into ``made``.

    Raises StepRefused when one of them cannot be done, InputRefused and LogUnavailable.
    """
    if not meets(caller_of(request), Need.WRITER):
        raise NotAllowed(caller_of(request), Need.WRITER)
    city, base = city_of(request), root_of(request)
    ahead = city.settings.doors.future_s
    before = dict(made)
    planned: list[Group] = []

    def build(catalog: Catalog) -> Edits:
        planned[:] = [plan_group(steps, before, library(city, request), ahead)]
        caller, group = caller_of(request), planned[0]
        try:
            permit_made(caller, city.rights, catalog, group.observations)
        except InputRefused as error:
            raise (blamed(steps, group, error) if error.status == 400 else error) from None
        permit_edits(caller, city.rights, catalog, group.edits)
        permit_corrections(caller, city.rights, group.corrections)
        try:
            city.creator.check(planned[0].observations, catalog, planned[0].edits)
        except InputRefused as error:
            raise blamed(steps, planned[0], error) from None
        return planned[0].edits

    async with city.amending:
        await city.read_barrier()
        await asyncio.to_thread(build, city.catalog)
        await check_days(city, planned[0].corrections)
        await city.changes.make(build, who=caller_of(request).signed(), why=f"a group of {len(steps)} requests")
        [group] = planned
        if group.corrections.num_rows:
            await correct(request, group.corrections)
        ids = [] if group.observations is None else (await city.intake.accept(group.observations)).ids.tolist()
    observed = {step: f"Observations({one})" for step, one in zip(group.observed, ids, strict=True) if step}
    made.update(group.made | observed)
    made.update({step: made[maker] for step, maker in group.within.items()})
    await city.read_barrier()

    def told(step: Step) -> dict[str, Any]:
        if step.method == "DELETE":
            return {"id": step.id, "status": 200}
        link, status = made[step.id], 201 if step.method == "POST" else 200
        body = read(link, "", city.catalog, city.store, base, city.clock.now())
        return {"id": step.id, "status": status, "headers": {"location": f"{base}/{link}"}, "body": body}

    return await asyncio.to_thread(lambda: [told(step) for step in steps])
