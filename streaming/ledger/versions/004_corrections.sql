-- What each drop did to the cells. Null: it is not known, since the drop is older than this. `stocketl fill` works it out.

ALTER TABLE stocketl.drops
    ADD COLUMN cells_new         bigint CHECK (cells_new >= 0),
    ADD COLUMN cells_changed     bigint CHECK (cells_changed >= 0),
    ADD COLUMN cells_same        bigint CHECK (cells_same >= 0),
    ADD COLUMN returns_rewritten bigint CHECK (returns_rewritten >= 0),
    ADD COLUMN tickers_new       bigint CHECK (tickers_new >= 0),
    -- the rows of stocketl.corrections that are this drop's; null: they are not there, see `--explain`
    ADD COLUMN corrections       bigint CHECK (corrections >= 0),
    ADD CONSTRAINT loaded_reconcile CHECK (rows_loaded = cells_new + cells_changed + cells_same);

-- The cells that a drop changed: they had a price before it, and price, volume or return is another one after it.
CREATE TABLE stocketl.corrections (
    seq           bigint NOT NULL,
    date          date NOT NULL,
    id            text NOT NULL,
    price_before  double precision NOT NULL,
    price_after   double precision NOT NULL,
    volume_before bigint,
    volume_after  bigint,
    return_before double precision,
    return_after  double precision,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, date, seq) -- what is asked for is the past of a cell
);
CREATE INDEX corrections_by_seq ON stocketl.corrections USING brin (seq); -- a few pages: rows come in the order of seq

COMMENT ON COLUMN stocketl.drops.cells_new IS 'Cells that the drop brought: there was no price before.';
COMMENT ON COLUMN stocketl.drops.cells_changed IS
    'Cells that the drop gave and that hold another price or volume than before it.';
COMMENT ON COLUMN stocketl.drops.cells_same IS 'Cells that the drop gave and that hold what they held before it.';
COMMENT ON COLUMN stocketl.drops.returns_rewritten IS
    'Returns of cells that were there before the drop and that are another number after it.';
COMMENT ON COLUMN stocketl.drops.tickers_new IS 'Tickers that no earlier drop had.';
COMMENT ON COLUMN stocketl.drops.corrections IS
    'How many rows of stocketl.corrections are of the drop; empty if they are not there.';
COMMENT ON TABLE stocketl.corrections IS
    'One row for each cell that a drop changed. A cell that a drop brings has none.';
COMMENT ON COLUMN stocketl.corrections.seq IS 'The drop that changed the cell.';
COMMENT ON COLUMN stocketl.corrections.date IS 'The day of the cell.';
COMMENT ON COLUMN stocketl.corrections.id IS 'The ticker of the cell.';
COMMENT ON COLUMN stocketl.corrections.price_before IS 'Its price before the drop.';
COMMENT ON COLUMN stocketl.corrections.price_after IS 'Its price after the drop.';
COMMENT ON COLUMN stocketl.corrections.volume_before IS 'Its volume before the drop, if it was known.';
COMMENT ON COLUMN stocketl.corrections.volume_after IS 'Its volume after the drop, if it is known.';
COMMENT ON COLUMN stocketl.corrections.return_before IS 'Its return before the drop; empty: there was no earlier price.';
COMMENT ON COLUMN stocketl.corrections.return_after IS 'Its return after the drop; empty: there is no earlier price.';
COMMENT ON COLUMN stocketl.corrections.at IS 'When the batch was written that has changed the cell.';
