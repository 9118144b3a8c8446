DELETE FROM ml.population;
