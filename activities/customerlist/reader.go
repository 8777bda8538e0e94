package customerlist

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"sync"
)

const (
	// blockItems is how many items share one entry of the index: a page reads at
	// most that many lines more than it was asked for.
	blockItems = 256
	// keptIndexes bounds the memory of a long-lived worker; an index that was
	// dropped is built again from the file.
	keptIndexes = 16
)

// Reader serves pages of pinned lists. It keeps an index of block offsets and
// hashes for each list it has seen, so that a page costs the reading of its own
// lines and not of those before it. It is safe for concurrent use.
type Reader struct {
	mu      sync.Mutex
	indexes map[indexKey]*index
	order   []indexKey // oldest first
}

// NewReader makes a reader without any index.
func NewReader() *Reader {
	return &Reader{indexes: make(map[indexKey]*index)}
}

type indexKey struct {
	source Source
	sha256 string
}

// index is where the blocks of a pinned list are and what they hash to. It is
// only ever built from bytes whose whole hash is the pinned one, hence a block
// that does not match it can only mean that the file changed since.
type index struct {
	building chan struct{} // holds one token; whoever has it may build
	ready    bool
	size     int64
	format   format
	blocks   []block
}

type block struct {
	offset int64
	length int64
	sha256 [sha256.Size]byte
}

// Page returns the customers [from, to) of a pinned list.
//
// A list whose content is not what was pinned is a *ChangedError, however the
// change came about; a file that cannot be read is the operating system's error.
func (r *Reader) Page(ctx context.Context, source Source, pinned Pinned, from, to int) ([]Customer, error) {
	contacts, err := r.Contacts(ctx, source, pinned, from, to)
	if err != nil {
		return nil, err
	}
	page := make([]Customer, 0, len(contacts))
	for _, c := range contacts {
		page = append(page, c.Customer)
	}
	return page, nil
}

// Contacts is Page with the customers' addresses. Its errors are those of Page.
func (r *Reader) Contacts(ctx context.Context, source Source, pinned Pinned, from, to int) ([]Contact, error) {
	if err := source.check(); err != nil {
		return nil, err
	}
	if from < 0 || to < from || to > pinned.Count {
		return nil, &Error{Source: source.String(), Problem: fmt.Sprintf("page [%d, %d) is outside of a list of %d", from, to, pinned.Count)}
	}
	idx, err := r.index(ctx, source, pinned)
	if err != nil {
		return nil, err
	}
	page := make([]Contact, 0, to-from)
	if source.Path == "" {
		for i := from; i < to; i++ {
			page = append(page, generatedContact(source.Seed, i))
		}
		return page, nil
	}
	if from == to {
		return page, nil
	}
	return idx.read(source.Path, page, from, to)
}

func (r *Reader) index(ctx context.Context, source Source, pinned Pinned) (*index, error) {
	idx := r.entry(indexKey{source, pinned.SHA256})
	// Batches ask for their first pages at the same moment; one builds, the rest wait.
	select {
	case <-idx.building:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { idx.building <- struct{}{} }()
	if idx.ready {
		return idx, nil
	}
	if source.Path == "" {
		now, err := Pin(ctx, source)
		if err != nil {
			return nil, err
		}
		if now != pinned {
			return nil, &ChangedError{Source: source.String()}
		}
	} else if err := idx.build(ctx, source, pinned); err != nil {
		return nil, err
	}
	idx.ready = true
	return idx, nil
}

func (r *Reader) entry(key indexKey) *index {
	r.mu.Lock()
	defer r.mu.Unlock()
	if idx, ok := r.indexes[key]; ok {
		return idx
	}
	if len(r.order) == keptIndexes {
		delete(r.indexes, r.order[0])
		r.order = r.order[1:]
	}
	idx := &index{building: make(chan struct{}, 1)}
	idx.building <- struct{}{}
	r.indexes[key] = idx
	r.order = append(r.order, key)
	return idx
}

func (x *index) build(ctx context.Context, source Source, pinned Pinned) error {
	x.blocks = nil
	sums := &blockHash{hash: sha256.New()}
	scan, err := scanFile(ctx, source.Path, sums, func(it item) error {
		if it.number%blockItems == 0 {
			sums.next(it.offset)
		}
		return nil
	})
	var unusable *Error
	if errors.As(err, &unusable) {
		// It was usable when it was pinned.
		return &ChangedError{Source: source.String()}
	}
	if err != nil {
		return err
	}
	if scan.sha256 != pinned.SHA256 || scan.count != pinned.Count {
		return &ChangedError{Source: source.String()}
	}
	sums.next(scan.size)
	x.size, x.format, x.blocks = scan.size, scan.format, sums.blocks
	return nil
}

func (x *index) read(path string, page []Contact, from, to int) ([]Contact, error) {
	changed := &ChangedError{Source: path}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open customer list: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Lines added at the end touch no block.
	if info, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("read customer list: %w", err)
	} else if info.Size() != x.size {
		return nil, changed
	}
	number := from / blockItems * blockItems
	for n := from / blockItems; n*blockItems < to; n++ {
		content := make([]byte, x.blocks[n].length)
		if _, err := f.ReadAt(content, x.blocks[n].offset); err != nil {
			return nil, fmt.Errorf("read customer list: %w", err)
		}
		if sha256.Sum256(content) != x.blocks[n].sha256 {
			return nil, changed
		}
		atStart := x.blocks[n].offset == 0
		for line := range bytes.Lines(content) {
			text := trimLine(line, atStart)
			atStart = false
			if len(text) == 0 {
				continue
			}
			if number >= from && number < to {
				contact, err := x.format.parse(text)
				if err != nil {
					return nil, changed
				}
				page = append(page, contact)
			}
			number++
		}
	}
	if len(page) != to-from {
		return nil, changed
	}
	return page, nil
}

// blockHash cuts the bytes written to it into blocks and hashes each.
type blockHash struct {
	hash   hash.Hash
	start  int64
	open   bool
	blocks []block
}

// next ends the block before offset and begins one there. The bytes before the
// first block, a CSV header, belong to none.
func (b *blockHash) next(offset int64) {
	if b.open {
		blk := block{offset: b.start, length: offset - b.start}
		b.hash.Sum(blk.sha256[:0])
		b.blocks = append(b.blocks, blk)
	}
	b.hash.Reset()
	b.start, b.open = offset, true
}

func (b *blockHash) Write(p []byte) (int, error) { return b.hash.Write(p) }
