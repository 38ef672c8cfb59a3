"""
The rows of a batch, made of its drafts; and the events that agree with them.
"""

from __future__ import annotations

_PROJECTS = """
INSERT INTO projects (
    id, name, description, project_idea, architecture, status, created_at, updated_at)
SELECT :projects_id + n,
    seed_pick(seed_words_adjective(), seed_draw(k, 'adjective')) || ' '
        || seed_pick(seed_words_noun(), seed_draw(k, 'noun')) || ' ' || (k + 1),
    CASE WHEN seed_draw(k, 'described') < 0.7 THEN 'For ' || goal || '.' END,
    'An app to ' || goal,
    CASE WHEN started THEN json_object(
        'language', seed_pick(seed_words_language(), seed_draw(k, 'language')),
        'layers', 2 + k % 4, 'queue', k % 3 = 0) END,
    coalesce(status, 'draft'), seed_time(born), seed_time(coalesce(moment, born))
FROM (
    SELECT *, seed_pick(seed_words_goal(), seed_draw(k, 'goal')) AS goal
    FROM seed_projects)
LEFT JOIN (
    SELECT n, arg_max(after, moment) AS status, max(moment) AS moment
    FROM seed_moves GROUP BY n)
USING (n)
ORDER BY n
"""

_CONVERSATIONS = """
INSERT INTO conversations (
    id, project_id, title, phase, messages, created_at, updated_at)
SELECT :conversations_id + c, :projects_id + n,
    upper(topic[1]) || topic[2:] || ': '
        || seed_pick(seed_words_question(), seed_draw(key, 'title')),
    seed_words_phase()[1 + phase + phases], said, seed_time(born),
    seed_time(greatest(last_at, born + span * phases / 7))
FROM (SELECT *, seed_topic(key) AS topic FROM seed_conversations)
JOIN (
    SELECT c, max(moment) AS last_at, to_json(list(json_merge_patch(
        json_object('role', role, 'content', content, 'at', seed_iso(moment)),
        CASE WHEN author IS NULL THEN '{}' ELSE json_object('author', author) END)
        ORDER BY i)) AS said
    FROM seed_messages GROUP BY c)
USING (c)
ORDER BY c
"""

_REPOSITORIES = """
INSERT INTO repositories (
    id, project_id, name, url, branch, default_branch, head_commit, commit_count,
    first_commit_at, last_commit_at, contributors, commits_per_month, github,
    build_status, last_build_at, created_at, updated_at)
SELECT :repositories_id + r, :projects_id + n, name,
    'https://github.com/' || full_name, 'main', 'main', head, coalesce(commits, 0),
    seed_time(first_at), seed_time(last_at), coalesce(people, '[]'),
    coalesce(months, '{}'),
    json_object('full_name', full_name, 'private', key % 4 = 0,
        'stargazers_count', floor(2000 * pow(seed_draw(key, 'stars'), 8))::BIGINT,
        'open_issues_count', floor(60 * pow(seed_draw(key, 'issues'), 3))::BIGINT),
    coalesce(status, 'unknown'), seed_time(built_at), seed_time(born),
    seed_time(coalesce(built_at, born))
FROM (
    SELECT *, 'example/' || name AS full_name
    FROM (
        SELECT *, seed_topic(key) || '-' || (k + 1)
            || CASE WHEN j > 0 THEN '-' || (j + 1) ELSE '' END AS name
        FROM seed_repositories))
LEFT JOIN (
    SELECT r, count(*) AS commits, min(moment) AS first_at, max(moment) AS last_at,
        arg_max(sha, moment) AS head
    FROM seed_commits GROUP BY r) USING (r)
LEFT JOIN (
    SELECT r, to_json(list(json_object(
        'name', author, 'email', seed_mail(author), 'commits', made)
        ORDER BY made DESC, author)) AS people
    FROM (SELECT r, author, count(*) AS made FROM seed_commits GROUP BY r, author)
    GROUP BY r) USING (r)
LEFT JOIN (
    SELECT r, to_json(map_from_entries(
        list((month, made) ORDER BY month))) AS months
    FROM (
        SELECT r, strftime(seed_time(moment), '%Y-%m') AS month, count(*) AS made
        FROM seed_commits GROUP BY r, month)
    GROUP BY r) USING (r)
LEFT JOIN (
    SELECT r, max(moment) AS built_at, arg_max(status, moment) AS status
    FROM seed_builds GROUP BY r) USING (r)
ORDER BY r
"""

_DOCUMENTS = """
INSERT INTO documents (
    id, project_id, repository_id, title, path, kind, language, content, encoding,
    checksum, size, lines, created_at, updated_at)
SELECT :documents_id + d, :projects_id + n, :repositories_id + r,
    CASE WHEN path IS NULL
        THEN upper(topic[1]) || topic[2:] || ', part ' || (j + 1) ELSE path END,
    path, kind, language, content, 'utf-8', sha256(content), strlen(content),
    length(content) - length(replace(content, chr(10), '')), seed_time(born),
    seed_time(born + (last - born) * changes / (changes + 1.0))
FROM (
    SELECT *, CASE WHEN r IS NOT NULL THEN
        seed_pick(seed_words_folder(), seed_draw(key, 'folder')) || '/' || topic || '_'
        || (j + 1) || seed_suffixes()[language] END AS path
    FROM (SELECT *, seed_topic(key) AS topic FROM seed_documents))
ORDER BY d
"""

_ACTIVITY = """
INSERT INTO activity (
    id, project_id, entity, entity_id, action, actor, payload, occurred_at)
SELECT :activity_id + row_number() OVER () - 1, :projects_id + n, entity,
    number + CASE entity WHEN 'project' THEN :projects_id
        WHEN 'conversation' THEN :conversations_id WHEN 'document' THEN :documents_id
        ELSE :repositories_id END,
    action, actor, payload, seed_time(moment)
FROM (SELECT * FROM seed_events ORDER BY moment)
"""

ROWS = {
    "projects": _PROJECTS,
    "conversations": _CONVERSATIONS,
    "repositories": _REPOSITORIES,
    "documents": _DOCUMENTS,
    "activity": _ACTIVITY,
}
"""By table, parents first."""

MARK = """
INSERT INTO activity (id, entity, action, payload, occurred_at)
VALUES (:id, 'database', 'seeded', json_object(
    'seed', :seed, 'rows', :rows, 'batch', :batch, 'of', :batches),
    to_timestamp(:until))
"""
"""The event that tells of a batch, and from which the next run goes on."""

MARKS = """
SELECT count(*) FROM activity WHERE entity = 'database' AND action = 'seeded'
AND CAST(payload ->> 'seed' AS BIGINT) = :seed
AND CAST(payload ->> 'rows' AS BIGINT) = :rows
AND occurred_at = to_timestamp(:until)
"""
