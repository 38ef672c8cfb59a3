"""
Lead a conversation through its phases, and look at how it went.
"""

from __future__ import annotations

from datetime import timedelta

from project_architect_db import (
    ArchitectSession,
    ConversationRepository,
    InvalidDataError,
    Message,
    ProjectRepository,
    run,
)
from project_architect_db.testing import temporary_database

TALK = [
    ("user", "We need a map of our services."),
    ("assistant", "Who is going to read it?"),
    ("user", "The people on call, at night."),
    ("assistant", "Then it shows what depends on what."),
]


async def manage_conversation_example(session: ArchitectSession) -> int:
    """
    Begin a conversation, and go on to its next phase.
    """
    project = await ProjectRepository(session).create(
        {"name": "Atlas", "project_idea": "A map"}
    )
    conversations = ConversationRepository(session, actor="ada")
    talk = await conversations.create({"project_id": project.id, "title": "On call"})
    for number, (role, content) in enumerate(TALK):
        at = talk.created_at + number * timedelta(seconds=20)
        message = Message(role=role, content=content, at=at)
        await conversations.add_message(talk.id, message)
    await conversations.change_phase(talk.id, "requirements")
    print([found.title for found in await conversations.list_by_phase("requirements")])
    return talk.id


async def edit_message_example(session: ArchitectSession, id: int) -> None:
    """
    Correct one message; its conversation is neither read nor sent.
    """
    conversations = ConversationRepository(session, actor="ada")
    await conversations.edit_message(id, 2, {"content": "The people on call."})
    try:
        await conversations.add_message(id, {"role": "asistant", "content": "Good."})
    except InvalidDataError as error:
        print(f"refused: {error}")
    for message in await conversations.messages(id, 1, 2):
        print(f"  {message.position} {message.role}: {message.content}")


async def analyze_flow_example(session: ArchitectSession, id: int) -> None:
    """
    Who said how much, how fast the answers came, and what came after what.
    """
    flow = await ConversationRepository(session).flow(id)
    print(f"{flow.messages} messages: {flow.by_role}")
    print(f"an answer came after {flow.average_response}, on average")
    print(" → ".join(stage.name for stage in flow.stages))


async def main() -> None:
    """
    All in one transaction, which also reads what it has written.
    """
    async with temporary_database() as engine, engine.transaction() as session:
        id = await manage_conversation_example(session)
        await edit_message_example(session, id)
        await analyze_flow_example(session, id)


run(main())
