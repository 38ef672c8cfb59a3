"""
The drafts of a batch: what will be in its rows, in temporary tables without ids.

Times are seconds since 1970, evenly spread; what is written is `seed_time` of them.
"""

from __future__ import annotations

PROJECTS = """
SELECT k - :first AS n, k, born, least(born + life, :until) AS last, weight,
    2 + floor(7 * seed_draw(k, 'team'))::BIGINT AS team,
    seed_draw(k, 'started') < 0.92 AS started, born + life AS finished
FROM (
    SELECT k, seed_skew(seed_draw(k, 'weight')) AS weight,
        86400 * (30 + 600 * seed_draw(k, 'life')) AS life,
        :since + (:until - :since) * 0.98 * (k + seed_draw(k, 'born')) / :projects
            AS born
    FROM range(:first, :last) AS numbers(k))
"""

MOVES = """
SELECT n, k, team, move.moment AS moment, move.before AS before, move.after AS after
FROM (
    SELECT *, unnest([
        {'moment': born + life * (0.02 + 0.1 * seed_draw(k, 'start')), 'if': started,
         'before': 'draft', 'after': 'active'},
        {'moment': born + life * (0.3 + 0.2 * seed_draw(k, 'pause')),
         'if': started AND paused, 'before': 'active', 'after': 'on_hold'},
        {'moment': born + life * (0.6 + 0.2 * seed_draw(k, 'go on')),
         'if': started AND paused, 'before': 'on_hold', 'after': 'active'},
        {'moment': finished, 'if': started, 'before': 'active', 'after': outcome},
        {'moment': finished + 86400 * (10 + 50 * seed_draw(k, 'file')),
         'if': started AND outcome = 'completed' AND seed_draw(k, 'filed') < 0.4,
         'before': 'completed', 'after': 'archived'}]) AS move
    FROM (
        SELECT *, finished - born AS life, seed_draw(k, 'paused') < 0.25 AS paused,
            CASE WHEN seed_draw(k, 'outcome') < 0.8 THEN 'completed' ELSE 'archived'
            END AS outcome
        FROM seed_projects))
WHERE move."if" AND move.moment <= :until
"""

# Each conversation begins in the phase that its project has come to, and goes on.
CONVERSATIONS = """
SELECT row_number() OVER (ORDER BY n, j) - 1 AS c, n, k, team, key, born, span,
    floor(7 * j / parts)::BIGINT AS phase,
    least(floor(4 * seed_draw(key, 'phases'))::BIGINT, 6 - floor(7 * j / parts)::BIGINT)
        AS phases,
    1 + floor((1 + 15 * pow(seed_draw(key, 'messages'), 2)) * least(:size, 1))::BIGINT
        AS messages
FROM (
    SELECT *, least(86400 * (1 + 20 * seed_draw(key, 'span')), last - born) AS span
    FROM (
        SELECT * EXCLUDE (born), hash(k, j, 'conversation') AS key,
            born + (last - born) * 0.95
                * (j + seed_draw(hash(k, j), 'conversation')) / parts AS born
        FROM (
            SELECT *, unnest(range(parts)) AS j
            FROM (
                SELECT *, greatest(1, seed_count(
                    4 * :size * weight, seed_draw(k, 'conversations'))) AS parts
                FROM seed_projects))))
"""

MESSAGES = """
SELECT c, n, i, role, content, moment,
    CASE role WHEN 'user' THEN seed_name(seed_person(k, team, draw)) END AS author
FROM (
    SELECT *,
        CASE WHEN role = 'user'
            THEN seed_pick(seed_words_question(), seed_draw(word, 'question'))
            WHEN role = 'assistant'
            THEN seed_pick(seed_words_answer(), seed_draw(word, 'answer'))
            WHEN role = 'tool' THEN 'ok' ELSE 'Answer in one sentence.' END AS content,
        seed_draw(word, 'author') AS draw
    FROM (
        SELECT c, n, k, team, i, hash(key, i) AS word,
            born + span * (i + 0.9 * seed_draw(hash(key, i), 'at')) / messages
                AS moment,
            CASE WHEN i % 2 = 0 THEN
                CASE WHEN i = 0 AND key % 10 = 0 THEN 'system' ELSE 'user' END
            WHEN hash(key, i) % 12 = 0 THEN 'tool' ELSE 'assistant' END AS role
        FROM (SELECT *, unnest(range(messages)) AS i FROM seed_conversations)))
"""

REPOSITORIES = """
SELECT row_number() OVER (ORDER BY n, j) - 1 AS r, n, k, j, team, key, last, weight,
    born + (last - born) * 0.1 * seed_draw(key, 'born') AS born,
    0.6 + 0.38 * seed_draw(key, 'success') AS success
FROM (
    SELECT *, hash(k, j, 'repository') AS key
    FROM (
        SELECT *, unnest(range(
            greatest(1, seed_count(1.5, seed_draw(k, 'repositories')))))
            AS j
        FROM seed_projects))
"""

COMMITS = """
SELECT r, n, word, moment, seed_sha(word) AS sha,
    seed_name(seed_person(k, team, seed_draw(word, 'author'))) AS author,
    1 + floor(8 * pow(seed_draw(word, 'files'), 3))::BIGINT AS files,
    1 + floor(300 * pow(seed_draw(word, 'insertions'), 4))::BIGINT AS insertions,
    floor(120 * pow(seed_draw(word, 'deletions'), 4))::BIGINT AS deletions
FROM (
    SELECT *, hash(key, i, 'commit') AS word,
        born + (last - born) * (i + seed_draw(hash(key, i), 'commit')) / parts AS moment
    FROM (
        SELECT *, unnest(range(parts)) AS i
        FROM (
            SELECT *, seed_count(40 * :size * weight, seed_draw(key, 'commits'))
                AS parts
            FROM seed_repositories)))
"""

BUILDS = """
SELECT r, n, i + 1 AS number, moment, seed_sha(word) AS sha,
    seed_pick(seed_words_job(), seed_draw(word, 'job')) AS job,
    round(20 + 900 * pow(seed_draw(word, 'seconds'), 3), 1) AS seconds,
    CASE WHEN seed_draw(word, 'status') < success THEN 'passed'
        WHEN seed_draw(word, 'cancelled') < 0.1 THEN 'cancelled' ELSE 'failed' END
        AS status
FROM (
    SELECT *, hash(key, i, 'build') AS word,
        born + (last - born) * (i + seed_draw(hash(key, i), 'build')) / parts AS moment
    FROM (
        SELECT *, unnest(range(parts)) AS i
        FROM (
            SELECT *, seed_count(22 * :size * weight, seed_draw(key, 'builds'))
                AS parts
            FROM seed_repositories)))
"""

# Three of five are files of the project's first repository.
DOCUMENTS = """
SELECT row_number() OVER (ORDER BY n, j) - 1 AS d, *,
    seed_count(:size * seed_skew(seed_draw(key, 'changes')), seed_draw(key, 'change'))
        AS changes,
    seed_count(1.7 * :size * seed_skew(seed_draw(key, 'reads')), seed_draw(key, 'read'))
        AS reads
FROM (
    SELECT n, k, j, team, last, key, r,
        born + (last - born) * (0.1 + 0.85 * seed_draw(key, 'born')) AS born,
        CASE WHEN r IS NULL
            THEN seed_pick(seed_words_prose(), seed_draw(key, 'kind'))
            ELSE seed_pick(seed_words_kind(), seed_draw(key, 'kind')) END AS kind,
        CASE WHEN r IS NOT NULL
            THEN seed_pick(seed_words_language(), seed_draw(key, 'language'))
            WHEN key % 3 > 0 THEN 'Markdown' END AS language,
        list_reduce(list_transform(
            range(2 + floor(30 * pow(seed_draw(key, 'length'), 4))::BIGINT),
            lambda part: CASE WHEN r IS NULL
                THEN seed_pick(seed_words_sentence(), seed_draw(key, part))
                ELSE seed_pick(seed_words_line(), seed_draw(key, part)) END),
            lambda text, part: text || part) AS content
    FROM (
        SELECT *, CASE WHEN key % 5 < 3 THEN first_repository END AS r
        FROM (
            SELECT *, hash(k, j, 'document') AS key
            FROM (
                SELECT *, unnest(range(greatest(1, seed_count(
                    18 * :size * weight, seed_draw(k, 'documents'))))) AS j
                FROM seed_projects
                JOIN (SELECT n, min(r) AS first_repository FROM seed_repositories
                      GROUP BY n) USING (n)))))
"""

EVENTS = """
SELECT born AS moment, n, 'project' AS entity, n AS number, 'created' AS action,
    seed_name(seed_person(k, team, 0)) AS actor,
    json_object('status', 'draft') AS payload
FROM seed_projects
UNION ALL
SELECT moment, n, 'project', n, 'status_changed', seed_name(seed_person(k, team, 0)),
    json_object('from', before, 'to', after)
FROM seed_moves
UNION ALL
SELECT born, n, 'conversation', c, 'created',
    seed_name(seed_person(k, team, seed_draw(key, 'opener'))),
    json_object('phase', seed_words_phase()[1 + phase])
FROM seed_conversations
UNION ALL
SELECT born + span * step / 7, n, 'conversation', c, 'phase_changed',
    seed_name(seed_person(k, team, seed_draw(key, step))),
    json_object('from', seed_words_phase()[phase + step],
        'to', seed_words_phase()[phase + step + 1])
FROM (SELECT *, unnest(range(1, phases + 1)) AS step FROM seed_conversations)
UNION ALL
SELECT moment, n, 'conversation', c, 'message_added', coalesce(author, role),
    json_object('position', i, 'role', role, 'length', length(content))
FROM seed_messages
UNION ALL
SELECT born, n, 'repository', r, 'created', seed_name(seed_person(k, team, 0)), '{}'
FROM seed_repositories
UNION ALL
SELECT moment, n, 'repository', r, 'commit', author,
    json_object('hash', sha, 'subject', seed_pick(seed_words_verb(),
        seed_draw(word, 'verb')) || ' the ' || seed_topic(word),
        'email', seed_mail(author), 'merge', word % 20 = 0, 'files', files,
        'insertions', insertions, 'deletions', deletions)
FROM seed_commits
UNION ALL
SELECT moment, n, 'repository', r, 'build', 'ci',
    json_object('status', status, 'name', job, 'number', number, 'commit', sha,
        'branch', 'main', 'seconds', seconds)
FROM seed_builds
UNION ALL
SELECT born, n, 'document', d, 'created',
    seed_name(seed_person(k, team, seed_draw(key, 'author'))), '{}'
FROM seed_documents
UNION ALL
SELECT born + (last - born) * step / (changes + 1.0), n, 'document', d, 'updated',
    seed_name(seed_person(k, team, seed_draw(key, step))),
    json_object('fields', ['content', 'checksum', 'size', 'lines'])
FROM (SELECT *, unnest(range(1, changes + 1)) AS step FROM seed_documents)
UNION ALL
SELECT born + (last - born) * seed_draw(hash(key, step), 'at'), n, 'document', d,
    'read', seed_name(seed_person(k, team, seed_draw(hash(key, step), 'reader'))), '{}'
FROM (SELECT *, unnest(range(reads)) AS step FROM seed_documents)
"""

DRAFTS = {
    "seed_projects": PROJECTS,
    "seed_moves": MOVES,
    "seed_conversations": CONVERSATIONS,
    "seed_messages": MESSAGES,
    "seed_repositories": REPOSITORIES,
    "seed_commits": COMMITS,
    "seed_builds": BUILDS,
    "seed_documents": DOCUMENTS,
    "seed_events": EVENTS,
}
"""In the order in which they are made."""
