-- How far long undertakings have come. A page whose owner is NULL, has expired or left is in nobody's hand.
CREATE TABLE {schema}.logbook (
    id    bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which they were made
    kind  text COLLATE "C" NOT NULL,
    name  text COLLATE "C" NOT NULL,
    text  text NOT NULL,
    wish  text NOT NULL DEFAULT '',
    owner bigint,
    PRIMARY KEY (kind, name)
);

CREATE FUNCTION {schema}.is_alive(asked bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM {schema}.owner WHERE id = asked AND expires_at > clock_timestamp())
$$;

-- Whether it is the taker's from now on, and what it says. One statement after the other, for each sees what was
-- committed before it began: a process may have opened the store and taken the page while we waited for the row.
CREATE FUNCTION {schema}.take_page(
    page_kind text, page_name text, page_text text, taker bigint, lease double precision,
    OUT is_taken boolean, OUT found_text text, OUT found_wish text
) LANGUAGE plpgsql AS $$
DECLARE
    holder bigint;
BEGIN
    -- One that was frozen says first that it lives: what it takes now must not count as a dead one's.
    UPDATE {schema}.owner SET expires_at = clock_timestamp() + make_interval(secs => lease)
    WHERE id = taker AND expires_at <= clock_timestamp();
    LOOP
        INSERT INTO {schema}.logbook (kind, name, text) VALUES (page_kind, page_name, page_text)
        ON CONFLICT DO NOTHING;
        SELECT owner, text, wish INTO holder, found_text, found_wish
        FROM {schema}.logbook WHERE kind = page_kind AND name = page_name FOR UPDATE;
        EXIT WHEN FOUND;  -- else it was erased since
    END LOOP;
    is_taken := holder IS DISTINCT FROM taker AND NOT {schema}.is_alive(holder);
    IF is_taken THEN
        found_wish := '';
        UPDATE {schema}.logbook SET owner = taker, wish = '' WHERE kind = page_kind AND name = page_name;
    END IF;
END $$;
