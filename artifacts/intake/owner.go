package intake

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

// Owner says who answers for a group (ownership.yaml), or how grave it takes each rule (policy.yaml): it lets the tag ownership or policy of the group's own
// repository name the document. Guard is asked if that named another one.
func (s *Shelf) Owner(ctx context.Context, group string, kind document.Kind, text []byte, p Put) (Kept, error) {
	if err := checkDocument(group, kind, text, document.KindOwnership, document.KindPolicy); err != nil {
		return Kept{}, err
	}
	if err := checkGroup(group); err != nil {
		return Kept{}, err
	}
	tag := string(kind)
	before, err := s.Registry.Resolve(ctx, group, tag)
	if err != nil && registry.Code(err) != registry.ManifestUnknown {
		return Kept{}, err
	}
	m := artifact(documentTypes[kind], layer(tag+".yaml", typeDocument, digest.FromBytes(text), int64(len(text))))
	return s.putDocument(ctx, group, tag, before.Digest, m, text, p)
}
