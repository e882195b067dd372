package gateway

import "github.com/weir-dev/weir/services/gateway/internal/batch"

// newBatches is the service of files and batches.
func (s *Service) newBatches() (*batch.Service, error) {
	return batch.New(s.p, batch.Config{
		Bus: s.bus, Catalog: s.ports.Catalog, Intake: s.intake, Jobs: s.client, MaxBodyBytes: s.cfg.MaxBodyBytes, MaxFileBytes: s.cfg.MaxFileBytes,
		Slots: s.cfg.BatchSlots, TenantSlots: s.cfg.BatchTenantSlots, Window: s.cfg.BatchWindow, Dir: s.cfg.BatchDir,
	})
}
