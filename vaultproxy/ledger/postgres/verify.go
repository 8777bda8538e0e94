package postgres

import (
	"context"
	"errors"
)

// Verify recomputes every budget from its calls, however long that takes, and
// returns a line for each difference.
func (s *Store) Verify(ctx context.Context) ([]string, error) {
	db := s.db.patient()
	lines, err := s.VerifyOn(ctx, db)
	return lines, errors.Join(err, db.Close())
}
