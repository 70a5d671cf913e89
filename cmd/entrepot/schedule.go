package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
)

// openSchedule returns what makes backups by itself; nil: nobody wants that. Nothing runs yet.
func openSchedule(c Config, s *store, log *slog.Logger) (*registrytransfer.Schedule, error) {
	if c.Backup.Every == 0 {
		return nil, nil
	}
	shelf, err := openShelf(c, s)
	if err != nil {
		return nil, fmt.Errorf("backup.to: %w", err)
	}
	return registrytransfer.NewSchedule(registrytransfer.ScheduleConfig{
		Index: s.index, Shelf: shelf, Every: c.Backup.Every, Keep: c.Backup.Keep, Folder: c.Data, Log: log,
	})
}

func openShelf(c Config, s *store) (registrytransfer.Shelf, error) {
	if c.Backup.To == toBucket {
		return backupsOf(s.blobs)
	}
	return registrytransfer.OpenFolder(c.Backup.To)
}

func measureBackups(to *prometheus.Registry, s *registrytransfer.Schedule) {
	to.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "entrepot_backups_total", Help: "Scheduled backups that this registry has made since the start."}, func() float64 {
			made, _, _ := s.Counts()
			return float64(made)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "entrepot_backup_failures_total", Help: "Scheduled backups of this registry that have failed since the start."}, func() float64 {
			_, failed, _ := s.Counts()
			return float64(failed)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "entrepot_backup_last_success_timestamp_seconds", Help: "When the last good scheduled backup was made, by whichever registry; 0 if there is none.",
		}, func() float64 {
			if _, _, last := s.Counts(); !last.IsZero() {
				return float64(last.Unix())
			}
			return 0
		}),
	)
}
